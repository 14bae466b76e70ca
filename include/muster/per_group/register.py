"""Register one group's model: an MLflow model of its own, one version for the same bytes, as few calls as can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muster.mlflow.budget import muster_errors
from muster.mlflow.budget.create_or_find import CreateOrFind
from muster.mlflow.client import connect
from muster.models import loading, reader
from muster.models.bundle import requirements
from muster.models.loading import check, read_bytes
from muster.models.manifest import loads
from muster.per_group.champions import GROUP, PARTITION, RUN, SHA256, STORED, TAKES, GroupChampion, described, takes
from muster.per_group.scratch import scratch
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CODE = Path(__file__).with_name("group_model.py")


@dataclass(frozen=True)
class Winner:
    """A model that the gate let in: where its bytes are, and what is told of it. Plain data."""

    group: str
    name: str
    stored: Mapping[str, Any]
    """Its row of `models`."""
    uploads_to: str
    """The artifacts of the MLflow run that trained it."""


@muster_errors()
def register(workload: Workload, root: Path, winner: Winner) -> GroupChampion:
    """Register a winner and return its version, found by its digest where an earlier attempt made it.

    Uploading comes before, to a place named by the digest below the run that trained the model: an attempt that was
    broken off leaves nothing that the next one does not write over.

    Raises:
        CorruptModel: when the stored bytes are not those that were judged.
    """
    client = connect()
    row = winner.stored
    tags = {
        GROUP: winner.group,
        SHA256: row["sha256"],
        RUN: row["run"],
        PARTITION: row["partition"],
        TAKES: takes(workload),
        "muster.workload": workload.name,
        "muster.algorithm": row["algorithm"],
        "muster.features_version": str(row["features_version"]),
    }
    source = f"{winner.uploads_to}/groups/{winner.name.rpartition('.')[2]}-{row['sha256'][:12]}"

    def make() -> ModelVersion:
        return client.create_model_version(winner.name, source, row["mlflow_run_id"], tags=tags, await_creation_for=0)

    versions = CreateOrFind(lambda: _versions(client, winner), make, lambda item: _delete(client, item))
    made = None if _new(client, workload, winner) else versions.look()
    if made is None:
        _upload(workload, root, winner, source)
        made = versions.make()
    return described(versions.end(made), winner.group)


def _new(client: MlflowClient, workload: Workload, winner: Winner) -> bool:
    """Make the group's registered model; tell whether it is new: then there is no version to look for."""
    from mlflow.exceptions import MlflowException

    told = f"{workload.description} Group {winner.group}.".strip()
    try:
        client.create_registered_model(winner.name, {GROUP: winner.group, "muster.workload": workload.name}, told)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
        return False
    return True


def _versions(client: MlflowClient, winner: Winner) -> list[ModelVersion]:
    wanted = f"name = '{winner.name}' AND tag.`{SHA256}` = '{winner.stored['sha256']}'"
    found = [item for item in client.search_model_versions(wanted) if item.status == "READY"]
    return sorted(found, key=lambda item: int(item.version))


def _delete(client: MlflowClient, item: ModelVersion) -> None:
    client.delete_model_version(item.name, str(item.version))


def _upload(workload: Workload, root: Path, winner: Winner, to: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    row = winner.stored
    data = read_bytes(root / row["shard"], row["offset"], row["length"])
    check(data, row["sha256"], winner.group, row["shard"])
    with scratch() as folder:
        stored = folder / Path(STORED).name
        stored.write_bytes(data)
        save(workload, winner, stored, folder / "bundle")
        get_artifact_repository(to).log_artifacts(str(folder / "bundle"))  # type: ignore[no-untyped-call]


def save(workload: Workload, winner: Winner, stored: Path, to: Path) -> None:
    """Write the stored bytes as an MLflow model under `to`, with signature and input example."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    features = list(workload.features.columns)
    told = {"group": winner.group, "loads": loads(workload)}
    inputs = Schema([ColSpec("double", name) for name in features])
    pyfunc.save_model(
        path=str(to),
        python_model=str(CODE),
        artifacts={"model": str(stored), "loading": str(loading.__file__), "reader": str(reader.__file__)},
        model_config={**told, "sha256": winner.stored["sha256"], "features": features},
        signature=ModelSignature(inputs, Schema([ColSpec("double", "score")])),
        input_example=pd.DataFrame([dict.fromkeys(features, 0.0)]),
        pip_requirements=requirements(loads(workload)),
    )
