"""Packs in MLflow: the champion's, and one registered version for each; with few calls, and none twice."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.champions.journal import digest_of
from muster.errors import MusterError
from muster.mlflow.budget import muster_errors
from muster.mlflow.budget.create_or_find import CreateOrFind
from muster.mlflow.client import connect
from muster.models.build import BuiltPack
from muster.models.bundle import save_bundle
from muster.settings import settings
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "Champion"
PENDING = "PENDING_REGISTRATION"
DIGEST, FOLDER, PARTITION = "muster.manifest_sha256", "muster.pack", "muster.partition"
"""Tags of a version: the pack's digest, its folder below the store's root, and the partition that it came of."""


class NotAPack(MusterError):
    """Raised when a version is met that Muster did not register."""

    def __init__(self, name: str, version: str, tag: str) -> None:
        super().__init__(
            f"version {version} of the registered model '{name}' has no tag '{tag}', so it is no pack of Muster; "
            f"roll back with './muster rollback {name}'"
        )


class NotVouched(MusterError):
    """Raised when the journal does not confirm what the registry says of a version."""

    def __init__(self, name: str, version: str, why: str) -> None:
        super().__init__(
            f"version {version} of the registered model '{name}' is not used: {why}; find out who changed it, then "
            f"put the tag right, or roll back to a version of './muster show {name} alias_journal'"
        )


class NotReady(MusterError):
    """Raised when a registered version does not become ready."""

    retryable = True

    def __init__(self, name: str, version: str, status: str) -> None:
        super().__init__(
            f"version {version} of '{name}' is {status}, not READY; the alias was not moved: run promote again"
        )


@dataclass(frozen=True)
class Champion:
    """A registered pack by reference. Plain data: it travels to the executors."""

    version: str
    folder: Path
    manifest_sha256: str
    partition: str


@muster_errors()
def current(workload: Workload, store: Store) -> Champion | None:
    """Return the pack behind the alias, or None where none was promoted yet. One call.

    What the registry says is compared with the journal: to change a champion unseen, both would have to be written.

    Raises:
        NotVouched: when the journal tells another digest, or knows of no move to that version.
        MlflowException: when the server does not answer, or answers anything but that there is no such alias.
        NotAPack: when the alias is at a version that Muster did not register.
    """
    found = _at_alias(workload)
    return None if found is None else _vouched(store, found)


@muster_errors()
def standing(workload: Workload) -> str | None:
    """Return the number of the version behind the alias, whether anything vouches for it or not. One call.

    For those that move the alias: what stands there now is compared or left, never read.
    """
    found = _at_alias(workload)
    return None if found is None else str(found.version)


def _at_alias(workload: Workload) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return connect().get_model_version_by_alias(workload.name, ALIAS)
    except MlflowException as error:
        if _says_no_alias(error):
            return None
        raise


@muster_errors()
def version(workload: Workload, store: Store, number: str) -> Champion:
    """Return the pack registered as version `number`, which was champion at some time. One call.

    Raises:
        NotVouched, NotAPack: as `current` does.
    """
    return _vouched(store, connect().get_model_version(workload.name, number))


def _says_no_alias(error: Any) -> bool:
    """Tell "there is no such model or alias" from everything else: throttling and outages are never that."""
    missing_alias = error.error_code == "INVALID_PARAMETER_VALUE" and f"alias {ALIAS} not found" in error.message
    return missing_alias or error.error_code == "RESOURCE_DOES_NOT_EXIST"


def _vouched(store: Store, found: ModelVersion) -> Champion:
    champion = _champion(store, found)
    written = digest_of(store, champion.version)
    if written is None:
        raise NotVouched(found.name, champion.version, "the journal knows of no move of the alias to it")
    if written != champion.manifest_sha256:
        told = f"its tag '{DIGEST}' is {champion.manifest_sha256[:12]}..., the journal says {written[:12]}..."
        raise NotVouched(found.name, champion.version, told)
    if not champion.folder.resolve().is_relative_to(Path(store.packs()).resolve()):
        raise NotVouched(found.name, champion.version, f"its tag '{FOLDER}' leads out of the store's packs")
    return champion


def _champion(store: Store, found: ModelVersion) -> Champion:
    tags = dict(found.tags)
    for tag in (DIGEST, FOLDER, PARTITION):
        if tag not in tags:
            raise NotAPack(found.name, str(found.version), tag)
    return Champion(str(found.version), Path(store.root) / tags[FOLDER], tags[DIGEST], tags[PARTITION])


@muster_errors()
def register(workload: Workload, store: Store, pack: BuiltPack, run_id: str, tags: Mapping[str, str]) -> str:
    """Log a pack and register it as one version, READY and tagged; return the version.

    A pack whose digest is registered already keeps its version, and an upload that was broken off is taken up again
    under the model it had begun: running this twice leaves one of each.

    Raises:
        NotReady: when the version is not READY in the end.
    """
    client = connect()
    folder = pack.folder.relative_to(store.root).as_posix()
    tagged = {**tags, DIGEST: pack.sha256, FOLDER: folder}

    def make() -> ModelVersion:
        source = f"models:/{model_id}"
        return client.create_model_version(
            workload.name, source, run_id, tags=tagged, await_creation_for=0, model_id=model_id
        )

    versions = CreateOrFind(lambda: _versions(client, workload, pack), make, lambda item: _delete(client, item))
    made = versions.look()
    if made is None:
        model_id = _log(client, workload, pack, run_id, tagged)
        _ensure_registered_model(client, workload)
        made = versions.make()
        _link(client, model_id, made)
    return str(_ready(client, versions.end(made)).version)


def _versions(client: MlflowClient, workload: Workload, pack: BuiltPack) -> list[ModelVersion]:
    """Return the versions of a pack that are ready, or may become so: those that are ready first."""
    found = client.search_model_versions(f"name = '{workload.name}' AND tag.`{DIGEST}` = '{pack.sha256}'")
    hopeful = [item for item in found if item.status in ("READY", PENDING)]
    return sorted(hopeful, key=lambda item: (item.status != "READY", int(item.version)))


def _delete(client: MlflowClient, item: ModelVersion) -> None:
    client.delete_model_version(item.name, str(item.version))


def _ready(client: MlflowClient, made: ModelVersion) -> ModelVersion:
    """Wait until a version is ready, by asking for it less and less often."""
    waiting = settings().mlflow_waiting
    deadline, pause = time.monotonic() + waiting.pending, waiting.first_pause
    while made.status == PENDING and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, waiting.longest_pause, max(0.0, deadline - time.monotonic()))
        made = client.get_model_version(made.name, str(made.version))
    if made.status != "READY":
        raise NotReady(made.name, str(made.version), made.status)
    return made


def _log(client: MlflowClient, workload: Workload, pack: BuiltPack, run_id: str, tags: Mapping[str, str]) -> str:
    """Upload the pack as a logged model of the run; return its id."""
    experiment = client.get_run(run_id).info.experiment_id

    def find() -> list[LoggedModel]:
        found = client.search_logged_models([experiment], f"tags.`{DIGEST}` = '{pack.sha256}'")
        return sorted(found, key=lambda item: (item.status != "READY", item.creation_timestamp))

    models = CreateOrFind(
        find,
        lambda: client.create_logged_model(experiment, pack.folder.name, run_id, dict(tags)),
        lambda item: client.delete_logged_model(item.model_id),
    )
    model = models.look() or models.make()
    if model.status != "READY":
        _upload(client, workload, pack, run_id, model)
    return str(models.end(model).model_id)


def _upload(client: MlflowClient, workload: Workload, pack: BuiltPack, run_id: str, model: LoggedModel) -> None:
    from mlflow.models import Model

    with tempfile.TemporaryDirectory(dir=pack.folder.parent, prefix=".bundle-") as scratch:
        bundle = Path(scratch) / "model"
        described = Model(
            artifact_path=model.artifact_location, run_id=run_id, model_uuid=model.model_id, model_id=model.model_id
        )
        save_bundle(workload, pack.folder, pack.sha256, bundle, described)
        client.log_model_artifacts(model.model_id, str(bundle))
    client.finalize_logged_model(model.model_id, "READY")


def _ensure_registered_model(client: MlflowClient, workload: Workload) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(workload.name, description=workload.description)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise


def _link(client: MlflowClient, model_id: str, made: ModelVersion) -> None:
    """Show the version on the logged model's page, as MLflow's own `register_model` does."""
    versions = [{"name": made.name, "version": str(made.version)}]
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(versions)})
