"""The artifact of one model: a group's bytes as stored in their shard, with what MLflow needs to serve them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.champions.alias import WORKLOAD
from muster.champions.artifacts import Upload
from muster.champions.errors import FileGone
from muster.champions.scratch import scratch
from muster.champions.units import Unit
from muster.champions.versions import (
    GROUP,
    MODEL_DIGEST,
    PARTITION,
    RUN,
    TAKES,
    RegisteredVersion,
    place_below,
    takes,
)
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.models.bundle import STORED, save_model
from muster.models.loading import check
from muster.models.manifest import allowed_imports
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def description_of(workload: Workload, unit: Unit) -> str:
    """Return the description of a group's registered model."""
    return f"{workload.description} Group {unit.group}.".strip()


def tags_of(unit: Unit, digest: str, run: str, partition: str, taken: str, algorithm: str) -> dict[str, str]:
    """Return the tags of a version of a group's model, by which `versions.described` knows it again."""
    return {
        GROUP: str(unit.group),
        MODEL_DIGEST: digest,
        RUN: run,
        PARTITION: partition,
        TAKES: taken,
        WORKLOAD: unit.workload,
        "muster.algorithm": algorithm,
    }


@dataclass(frozen=True)
class ModelArtifact:
    """A group's model to register."""

    unit: Unit
    workload: Workload
    store: Store
    """Where the shards are."""
    stored: Mapping[str, Any]
    """Its row of `models`."""
    uploads_to: str
    """The artifacts of the MLflow run that trained it."""
    known: bool
    """Whether the group had a champion to the gate: so its registered model is its own."""

    @property
    def digest(self) -> str:
        return str(self.stored["sha256"])

    @property
    def run_id(self) -> str:
        return str(self.stored["mlflow_run_id"])

    @property
    def description(self) -> str:
        return description_of(self.workload, self.unit)

    @property
    def tags(self) -> Mapping[str, str]:
        row, taken = self.stored, takes(self.workload.features.columns, self.workload.outcome)
        return {
            **tags_of(self.unit, self.digest, row["run"], row["partition"], taken, row["algorithm"]),
            "muster.features_version": str(row["features_version"]),
        }

    def upload(self, client: MlflowClient) -> Upload:
        """Upload the model below its run, to a place that its digest names: another attempt writes over it."""
        row, to = self.stored, place_below(self.uploads_to, self.unit, self.digest)
        data = self.store.files.read(row["shard"], row["offset"], row["length"])
        check(data, self.digest, str(self.unit.group), row["shard"])
        upload_model(self.workload, self.store, self.unit, data, self.digest, allowed_imports(self.workload), to)
        return Upload(to)

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Do nothing: the version's page leads to its run, where the files are."""


@muster_errors()
def upload_model(
    workload: Workload, store: Store, unit: Unit, data: bytes, digest: str, imports: Sequence[str], to: str
) -> None:
    """Upload a group's stored bytes, checked before, as an MLflow model to a place among MLflow's artifacts."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with scratch() as folder:
        file = folder / Path(STORED).name
        file.write_bytes(data)
        save_model(workload, store, str(unit.group), file, digest, imports, folder / "bundle")
        get_artifact_repository(to).log_artifacts(str(folder / "bundle"))  # type: ignore[no-untyped-call]


@muster_errors()
def fetch(version: RegisteredVersion, folder: Path) -> bytes:
    """Fetch a group's stored model by way of `folder`, which keeps nothing of it. Two calls.

    Raises:
        CorruptModel: when its bytes are not those of its tag.
        FileGone: when MLflow has the version, and not its file.
    """
    from mlflow.artifacts import download_artifacts, list_artifacts
    from mlflow.exceptions import MlflowException

    connect()
    file = f"{version.place}/{STORED}"
    try:
        path = Path(download_artifacts(artifact_uri=file, dst_path=str(folder)))
    except MlflowException as error:  # its code does not tell a lost file from an outage: the list of files does
        files = {item.path.rpartition("/")[2] for item in list_artifacts(artifact_uri=file.rpartition("/")[0])}
        if Path(STORED).name in files:
            raise
        unit = version.unit
        raise FileGone(unit.workload, unit.group, unit.name, version.version, file) from error
    try:
        data = path.read_bytes()
    finally:
        path.unlink()
    check(data, version.digest, str(version.unit.group), f"{version.unit.name} version {version.version}")
    return data
