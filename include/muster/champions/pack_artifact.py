"""The artifact of many models: a pack, logged once and registered as one version, however many groups it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from muster.champions.artifacts import Upload
from muster.champions.lost import missing_files
from muster.champions.scratch import scratch
from muster.champions.units import Unit
from muster.champions.versions import FOLDER, MANIFEST_DIGEST, RegisteredVersion, where_there
from muster.mlflow.budget import muster_errors
from muster.mlflow.budget.create_or_find import CreateOrFind
from muster.mlflow.client import connect
from muster.models.build import BuiltPack
from muster.models.bundle import files_of_older_pack, files_of_pack, save_pack
from muster.models.manifest_reader import BESIDE, about, read_manifest
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class PackArtifact:
    """A pack to register."""

    unit: Unit
    workload: Workload
    store: Store
    pack: BuiltPack
    run_id: str
    more_tags: Mapping[str, str] = field(default_factory=dict)
    known: bool = False
    """Whether the workload has a champion: so the registered model is its own."""

    @property
    def digest(self) -> str:
        return self.pack.sha256

    @property
    def description(self) -> str:
        return self.workload.description

    @property
    def tags(self) -> Mapping[str, str]:
        return {**self.more_tags, MANIFEST_DIGEST: self.pack.sha256, FOLDER: self.pack.folder}

    def upload(self, client: MlflowClient) -> Upload:
        """Log the pack as a model of its run; an upload that was broken off goes on under the model it had begun.

        So does one whose files are gone since.
        """
        experiment, name = client.get_run(self.run_id).info.experiment_id, PurePosixPath(self.pack.folder).name

        def find() -> list[LoggedModel]:
            models = client.search_logged_models([experiment], f"tags.`{MANIFEST_DIGEST}` = '{self.digest}'")
            return sorted(models, key=lambda item: (item.status != "READY", item.creation_timestamp))

        models = CreateOrFind(
            find,
            lambda: client.create_logged_model(experiment, name, self.run_id, dict(self.tags)),
            lambda item: client.delete_logged_model(item.model_id),
        )
        model = models.find() or models.create()
        if model.status != "READY" or _missing(model, self.store, self.pack.folder, self.digest):
            self._log(client, model)
        model_id = str(models.remove_surplus(model).model_id)
        return Upload(f"models:/{model_id}", model_id)

    def upload_again(self, client: MlflowClient, version: str) -> None:
        """Upload the files of a version that is registered once more, to where they were."""
        self._log(client, _logged_model(client, self.unit, version))

    def _log(self, client: MlflowClient, model: LoggedModel) -> None:
        from mlflow.models import Model

        with scratch() as folder:
            bundle = folder / "model"
            place, model_id = model.artifact_location, model.model_id
            described = Model(artifact_path=place, run_id=self.run_id, model_uuid=model_id, model_id=model_id)
            save_pack(self.workload, self.store, self.pack, bundle, described)
            client.log_model_artifacts(model.model_id, str(bundle))
        client.finalize_logged_model(model.model_id, "READY")

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Show the version on the logged model's page, as MLflow's own `register_model` does."""
        versions = json.dumps([{"name": version.name, "version": str(version.version)}])
        client.set_logged_model_tags(str(upload.model_id), {"mlflow.modelVersions": versions})


@muster_errors()
def files_gone(version: RegisteredVersion, store: Store) -> list[str]:
    """Return the files of a registered pack that MLflow has no more. Five calls.

    Muster, which reads the store, misses none of them. Where the logged model itself was deleted, nothing can be
    uploaded to it.
    """
    model = where_there(lambda: _logged_model(connect(), version.unit, version.version))
    return [] if model is None else _missing(model, store, version.place, version.digest)


def _missing(model: LoggedModel, store: Store, folder: str, digest: str) -> list[str]:
    manifest = read_manifest(store.files, folder, digest)
    gone = missing_files(model.artifact_location, files_of_pack(folder, manifest))
    if not gone or about(manifest)["format"] != BESIDE:
        return gone
    return missing_files(model.artifact_location, files_of_older_pack(folder, manifest)) and gone


def _logged_model(client: MlflowClient, unit: Unit, version: str) -> LoggedModel:
    """Return the logged model that a version is."""
    source = str(client.get_model_version(unit.name, version).source)
    return client.get_logged_model(source.removeprefix("models:/"))
