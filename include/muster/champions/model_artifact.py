"""The artifact of one model: a group's bytes as stored in their shard, with what MLflow needs to serve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.champions.artifacts import Upload
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
from muster.models.loading import check, read_bytes
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class ModelArtifact:
    """A group's model to register."""

    unit: Unit
    workload: Workload
    root: Path
    """The folder below which the shards are."""
    stored: Mapping[str, Any]
    """Its row of `models`."""
    uploads_to: str
    """The artifacts of the MLflow run that trained it."""

    @property
    def digest(self) -> str:
        return str(self.stored["sha256"])

    @property
    def run_id(self) -> str:
        return str(self.stored["mlflow_run_id"])

    @property
    def description(self) -> str:
        return f"{self.workload.description} Group {self.unit.group}.".strip()

    @property
    def tags(self) -> Mapping[str, str]:
        return {
            GROUP: str(self.unit.group),
            MODEL_DIGEST: self.digest,
            RUN: self.stored["run"],
            PARTITION: self.stored["partition"],
            TAKES: takes(self.workload.features.columns),
            "muster.workload": self.workload.name,
            "muster.algorithm": self.stored["algorithm"],
            "muster.features_version": str(self.stored["features_version"]),
        }

    def upload(self, client: MlflowClient) -> Upload:
        """Upload the model below its run, to a place that its digest names: another attempt writes over it."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        row, to = self.stored, place_below(self.uploads_to, self.unit, self.digest)
        data = read_bytes(self.root / row["shard"], row["offset"], row["length"])
        check(data, self.digest, str(self.unit.group), row["shard"])
        store, group = Store(str(self.root), self.workload.name), str(self.unit.group)
        with scratch() as folder:
            file = folder / Path(STORED).name
            file.write_bytes(data)
            save_model(self.workload, store, group, file, self.digest, folder / "bundle")
            get_artifact_repository(to).log_artifacts(str(folder / "bundle"))  # type: ignore[no-untyped-call]
        return Upload(to)

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Do nothing: the version's page leads to its run, where the files are."""


@muster_errors()
def fetch(version: RegisteredVersion, folder: Path) -> bytes:
    """Fetch a group's stored model by way of `folder`, which keeps nothing of it. Two calls.

    Raises:
        CorruptModel: when its bytes are not those of its tag.
    """
    from mlflow.artifacts import download_artifacts

    connect()
    path = Path(download_artifacts(artifact_uri=f"{version.place}/{STORED}", dst_path=str(folder)))
    try:
        data = path.read_bytes()
    finally:
        path.unlink()
    check(data, version.digest, str(version.unit.group), f"{version.unit.name} version {version.version}")
    return data
