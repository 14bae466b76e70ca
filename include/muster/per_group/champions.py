"""A group's registered model: the version behind its alias, what its tags say, and its stored bytes, verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.champions.registry import ALIAS
from muster.errors import MusterError
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.models.loading import check
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SHA256, GROUP, RUN, PARTITION, TAKES = (f"muster.{name}" for name in ("sha256", "group", "run", "partition", "takes"))
"""Tags of a version: its model's stored bytes' digest, whose it is, the run that trained it, and what it takes."""

STORED = "artifacts/model.bin"
"""Where the stored bytes lie in the MLflow model."""


class NotAGroupsModel(MusterError):
    """Raised when a version is met that Muster did not register for the group."""

    def __init__(self, name: str, version: str, group: str) -> None:
        super().__init__(
            f"version {version} of the registered model '{name}' is none that Muster registered for group '{group}'; "
            f"point the alias '{ALIAS}' to one that it did"
        )


@dataclass(frozen=True)
class GroupChampion:
    """A version of one group's registered model."""

    group: str
    name: str
    version: str
    source: str
    """Where its MLflow model lies."""
    sha256: str
    run: str
    partition: str
    takes: str


def takes(workload: Workload) -> str:
    """Return a digest of the features that models of this workload take, in their order."""
    return hashlib.sha256(json.dumps(list(workload.features.columns)).encode()).hexdigest()[:16]


@muster_errors()
def champion(name: str, group: str, version: str | None = None) -> GroupChampion | None:
    """Return the version behind the alias, or a given one; None where there is no such model or alias. One call.

    Raises:
        NotAGroupsModel: when Muster did not register it for this group.
        MlflowException: when the server answers anything but that there is none.
    """
    found = _at_alias(name) if version is None else connect().get_model_version(name, version)
    return None if found is None else described(found, group)


@muster_errors()
def at_alias(name: str) -> str | None:
    """Return the number of the version behind the alias, whoever registered it. One call.

    For those that move the alias: what stands there now is compared or left, never read.
    """
    found = _at_alias(name)
    return None if found is None else str(found.version)


def _at_alias(name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return connect().get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if _says_none(error):
            return None
        raise


def _says_none(error: Any) -> bool:
    """Tell "there is no such model or alias" from everything else: throttling and outages are never that."""
    missing_alias = error.error_code == "INVALID_PARAMETER_VALUE" and f"alias {ALIAS} not found" in error.message
    return missing_alias or error.error_code == "RESOURCE_DOES_NOT_EXIST"


def described(found: ModelVersion, group: str) -> GroupChampion:
    """Return what a version's tags say of it.

    Raises:
        NotAGroupsModel: when they lack anything, or are another group's.
    """
    tags: Mapping[str, str] = dict(found.tags)
    if tags.get(GROUP) != group or not {SHA256, RUN, PARTITION, TAKES} <= tags.keys():
        raise NotAGroupsModel(found.name, str(found.version), group)
    values = (tags[name] for name in (SHA256, RUN, PARTITION, TAKES))
    return GroupChampion(group, found.name, str(found.version), str(found.source), *values)


@muster_errors()
def stored_bytes(found: GroupChampion, folder: Path) -> bytes:
    """Fetch a champion's stored model by way of `folder`, which keeps nothing of it. Two calls.

    Raises:
        CorruptModel: when its bytes are not those of its tag.
    """
    from mlflow.artifacts import download_artifacts

    connect()
    path = Path(download_artifacts(artifact_uri=f"{found.source}/{STORED}", dst_path=str(folder)))
    try:
        data = path.read_bytes()
    finally:
        path.unlink()
    check(data, found.sha256, found.group, f"{found.name} version {found.version}")
    return data
