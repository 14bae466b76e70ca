"""The artifact of one group's model that was champion: its version deleted since, or its files in MLflow, or both.

A deleted version is registered once more, its files where they were. Files that are gone are uploaded once more, to
where they were, as the store has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from muster.champions.artifacts import Upload
from muster.champions.lost import stored_bytes
from muster.champions.model_artifact import description_of, tags_of, upload_model
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion
from muster.storage.store import Store
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class RestoredModel:
    """A group's model to register, or to upload, once more."""

    workload: Workload
    store: Store
    model: RegisteredVersion
    evidence: Mapping[str, Any]
    """What the journal says of it."""
    lost: bool
    """Whether files of it are gone in MLflow, or are others than were registered."""
    known: bool = False
    """The registered model may have been deleted too, and be another workload's now."""

    @property
    def unit(self) -> Unit:
        return self.model.unit

    @property
    def digest(self) -> str:
        return self.model.digest

    @property
    def run_id(self) -> str:
        return str(self.evidence["mlflow_run_id"])

    @property
    def description(self) -> str:
        return description_of(self.workload, self.unit)

    @property
    def tags(self) -> Mapping[str, str]:
        was = self.model
        tags = tags_of(was.unit, was.digest, was.run, was.partition, was.takes, self.evidence["algorithm"])
        return {**tags, "muster.restored_from": was.version}

    def upload(self, client: MlflowClient) -> Upload:
        """Upload nothing where the files are there; else the bytes of the store, whose digest is the version's.

        Raises:
            ModelLost: when the store does not have them either.
        """
        model, place = self.model, self.model.place
        if self.lost:
            data = stored_bytes(self.store, model, self.evidence)
            upload_model(self.workload, self.store, self.unit, data, self.digest, self.evidence["loads"], place)
        return Upload(place)

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Do nothing: the version's page leads to its run."""
