"""What MLflow has lost of a version that it still has: which files are gone, and a model's bytes as the store has them.

Whoever may delete files of MLflow's artifact store leaves registered model, version and alias as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.errors import NOT_TRAINED, FileGone, ModelLost, VersionGone
from muster.champions.in_store import PLACE
from muster.champions.model_artifact import fetch
from muster.champions.versions import RegisteredVersion
from muster.errors import bounded
from muster.mlflow.budget import muster_errors
from muster.mlflow.candidates import MODELS_TAG
from muster.mlflow.client import connect
from muster.models.build import BadSource, read_models
from muster.models.bundle import files_of_model
from muster.models.loading import CorruptModel
from muster.models.manifest_reader import why_removed
from muster.models.vouched import models_digest
from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.storage.tables import MODELS


@muster_errors()
def missing_files(place: str, needed: Iterable[str]) -> list[str]:
    """Return those of the paths below `place` among MLflow's artifacts that are not there, sorted. A call a folder."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    connect()
    paths, repository = sorted(needed), get_artifact_repository(place)
    folders = sorted({path.rpartition("/")[0] for path in paths})
    there = {item.path for folder in folders for item in repository.list_artifacts(folder or None)}
    return [path for path in paths if path not in there]


def is_whole(model: RegisteredVersion, folder: Path) -> bool:
    """Tell whether MLflow has all files of a group's version, and the very bytes that it was registered with.

    By way of `folder`, which keeps nothing. Four calls.
    """
    if missing_files(model.place, files_of_model()):
        return False
    try:
        fetch(model, folder)
    except (CorruptModel, FileGone):
        return False
    return True


def stored_bytes(store: Store, model: RegisteredVersion, evidence: Mapping[str, Any]) -> bytes:
    """Return a group's model as training left it in the store: the very bytes whose digest is the version's.

    They are where the journal's evidence of the model says, or where `models` does: its partition may have been trained
    again since, to the same bytes. The digest is that of the version's tag; where that was deleted, the MLflow run that
    trained the model has to vouch for it.

    Raises:
        ModelLost: when they are at neither place, or others are.
        VersionGone: when nothing in MLflow vouches for the digest.
    """
    if model.deleted and not _trained(store, model, evidence):
        raise VersionGone(model.unit.name, model.version, NOT_TRAINED)
    group, shards = str(model.unit.group), []
    for place in _places(store, model, evidence):
        row = {"group": group, "sha256": model.digest, **place}
        try:
            return next(read_models(store.files, pa.Table.from_pylist([row])))
        except BadSource:
            shards.append(f"{place['shard']}{why_removed(store.files, str(place['shard']))}")
    where = f"looked for in shard {bounded(dict.fromkeys(shards))}" if shards else "no table names a shard of it"
    raise ModelLost(model.unit.workload, group, model.version, model.partition, where)


def _places(store: Store, model: RegisteredVersion, evidence: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if evidence.get("shard") is not None:  # moves said so only later
        yield {name: evidence[name] for name in PLACE}
    rows = _models(store, model).filter(_is(model)).select(PLACE)
    yield from rows.to_pylist()


@muster_errors()
def _trained(store: Store, model: RegisteredVersion, evidence: Mapping[str, Any]) -> bool:
    """Tell whether the MLflow run of the training says that the model is of it: by a digest of its rows of `models`."""
    own = (pc.field("algorithm") == evidence["algorithm"]) & (pc.field("mlflow_run_id") == evidence["mlflow_run_id"])
    rows = _models(store, model).filter(own)  # a retry's are beside those of the training
    run = connect().get_run(evidence["mlflow_run_id"])
    return run.data.tags.get(MODELS_TAG) == models_digest(rows) and rows.filter(_is(model)).num_rows > 0


def _models(store: Store, model: RegisteredVersion) -> pa.Table:
    """Return the rows of `models` of the partition that a model was trained for."""
    delta = store.open("models")
    if delta is None:
        return MODELS.empty_table()
    return dataset(delta).to_table(filter=pc.field("partition") == model.partition)


def _is(model: RegisteredVersion) -> pc.Expression:
    return (pc.field("group") == model.unit.group) & (pc.field("sha256") == model.digest)
