"""The artifact of one group's model whose version somebody deleted: registered once more, its files where they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muster.champions.artifacts import Upload
from muster.champions.model_artifact import description_of, tags_of
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class RestoredModel:
    """A group's model to register once more, its files where they were."""

    workload: Workload
    model: RegisteredVersion
    run_id: str
    algorithm: str
    known: bool = False
    """The registered model may have been deleted too, and be another workload's now."""

    @property
    def unit(self) -> Unit:
        return self.model.unit

    @property
    def digest(self) -> str:
        return self.model.digest

    @property
    def description(self) -> str:
        return description_of(self.workload, self.unit)

    @property
    def tags(self) -> Mapping[str, str]:
        was = self.model
        tags = tags_of(was.unit, was.digest, was.run, was.partition, was.takes, self.algorithm)
        return {**tags, "muster.restored_from": was.version}

    def upload(self, client: MlflowClient) -> Upload:
        """Upload nothing: the files are there."""
        return Upload(self.model.place)

    def link(self, client: MlflowClient, version: ModelVersion, upload: Upload) -> None:
        """Do nothing: the version's page leads to its run."""
