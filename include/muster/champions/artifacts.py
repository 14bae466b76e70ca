"""Register what a unit is to answer with, many models or one: one version for the same bytes, however often tried."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from muster.champions.alias import WORKLOAD
from muster.champions.errors import NotReady
from muster.champions.units import Unit
from muster.champions.versions import GROUP, RegisteredVersion, check_owner, described, digest_tag
from muster.mlflow.budget import muster_errors
from muster.mlflow.budget.create_or_find import CreateOrFind
from muster.mlflow.client import connect
from muster.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PENDING = "PENDING_REGISTRATION"


class Upload(NamedTuple):
    """Where an artifact is in MLflow, ready to be registered."""

    source: str
    model_id: str | None = None
    """Of the logged model that it is, where it is one."""


class Artifact(Protocol):
    """What becomes one version of a unit's registered model. Plain data: it may travel to an executor."""

    @property
    def unit(self) -> Unit:
        """Whose it is."""

    @property
    def known(self) -> bool:
        """Whether its registered model was seen to be the unit's already, and need not be asked whose it is."""

    @property
    def digest(self) -> str:
        """The sha256 that vouches for all of its bytes; the version is found again by it."""

    @property
    def run_id(self) -> str:
        """The MLflow run that it came of."""

    @property
    def description(self) -> str:
        """What the registered model is, when this is its first version."""

    @property
    def tags(self) -> Mapping[str, str]:
        """The version's tags, its digest among them."""

    def upload(self, client: MlflowClient) -> Upload:
        """Bring it to MLflow; what an attempt that was broken off has uploaded is taken up or written over."""

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Show the new version where MLflow's own pages look for it."""


@muster_errors()
def register(artifact: Artifact) -> RegisteredVersion:
    """Register an artifact as one version, READY and tagged; one that is registered already keeps its version.

    Raises:
        CorruptModel: when its bytes are not those that were judged.
        NameTaken: when the registered model is another workload's; it gets no version then.
        NotReady: when the version is not READY in the end.
    """
    client, unit = connect(), artifact.unit
    upload: Upload | None = None

    def create() -> ModelVersion:
        assert upload is not None  # noqa: S101 - for the type: it is uploaded first
        return client.create_model_version(
            unit.name,
            upload.source,
            artifact.run_id,
            tags=dict(artifact.tags),
            await_creation_for=0,
            model_id=upload.model_id,
        )

    versions = CreateOrFind(lambda: _versions(client, artifact), create, lambda item: _delete(client, item))
    # A group's model is looked for only where its registered model is not new: a search of each new group would be
    # one call too many. A pack is looked for first: what is registered already creates nothing.
    is_pack = unit.group is None
    version = None if not is_pack and _create_model(client, artifact) else versions.find()
    if version is None:
        upload = artifact.upload(client)
        if is_pack:
            _create_model(client, artifact)
        version = versions.create()
        artifact.link(client, version, upload)
    return described(unit, _ready(client, versions.remove_surplus(version)))


@muster_errors()
def remove_twin(unit: Unit, version: str) -> None:
    """Remove a version that another one has the same bytes as, and the logged model that it is alone."""
    from mlflow.exceptions import MlflowException

    client = connect()
    try:
        model_id = client.get_model_version(unit.name, version).model_id
        client.delete_model_version(unit.name, version)
        if model_id:
            client.delete_logged_model(model_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # by an earlier attempt
            raise


def _create_model(client: MlflowClient, artifact: Artifact) -> bool:
    """Create the registered model where there is none; tell whether it is new: then there is no version to look for.

    Raises:
        NameTaken: when there is one, and it is another workload's.
    """
    from mlflow.exceptions import MlflowException

    unit = artifact.unit
    tags = {WORKLOAD: unit.workload} | ({} if unit.group is None else {GROUP: unit.group})
    try:
        client.create_registered_model(unit.name, tags, artifact.description)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
        if not artifact.known:
            check_owner(unit, client.get_registered_model(unit.name).tags)
        return False
    return True


def _versions(client: MlflowClient, artifact: Artifact) -> list[ModelVersion]:
    """Return the versions of an artifact that are ready, or may become so: those that are ready first."""
    name, tag = artifact.unit.name, digest_tag(artifact.unit)
    versions = client.search_model_versions(f"name = '{name}' AND tag.`{tag}` = '{artifact.digest}'")
    hopeful = [item for item in versions if item.status in ("READY", PENDING)]
    return sorted(hopeful, key=lambda item: (item.status != "READY", int(item.version)))


def _delete(client: MlflowClient, item: ModelVersion) -> None:
    client.delete_model_version(item.name, str(item.version))


def _ready(client: MlflowClient, version: ModelVersion) -> ModelVersion:
    """Wait until a version is ready, by asking for it less and less often."""
    waiting = settings().mlflow_waiting
    deadline, pause = time.monotonic() + waiting.pending, waiting.first_pause
    while version.status == PENDING and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, waiting.longest_pause, max(0.0, deadline - time.monotonic()))
        version = client.get_model_version(version.name, str(version.version))
    if version.status != "READY":
        raise NotReady(version.name, str(version.version), version.status)
    return version
