"""Registered models, their versions and aliases, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
    _validate_model_name,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_registered_model_tag,
)

from tests.registry.absent import RefusesTheRest

LATEST_FIRST = ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]


class ModelStore(RefusesTheRest):
    """What MLflow's handlers ask of a model registry, as far as Muster and its tests go."""

    def __init__(self) -> None:
        self._models: dict[str, RegisteredModel] = {}
        self._versions: dict[str, dict[int, ModelVersion | None]] = {}
        """By their numbers; None is a deleted one, whose number is not given again."""

    def list_webhooks_by_event(self, *_: Any, **__: Any) -> PagedList[Any]:
        return PagedList([], None)

    def create_registered_model(self, name: str, tags: Sequence[Any] = (), description: str = "") -> RegisteredModel:
        _validate_model_name(name)
        for tag in tags:
            _validate_registered_model_tag(tag.key, tag.value)
        if name in self._models:
            raise MlflowException(f"Registered Model (name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
        now = get_current_time_millis()
        self._models[name] = RegisteredModel(name, now, now, description, [], tags)
        self._versions[name] = {}
        return self._models[name]

    def get_registered_model(self, name: str) -> RegisteredModel:
        _validate_model_name(name)
        if name not in self._models:
            raise MlflowException(f"Registered Model with name={name} not found", RESOURCE_DOES_NOT_EXIST)
        return self._models[name]

    def search_registered_models(
        self, filter_string: str, max_results: int, order_by: Sequence[str], page_token: str | None
    ) -> PagedList[RegisteredModel]:
        matching = SearchModelUtils.filter(list(self._models.values()), filter_string)
        ordered = SearchModelUtils.sort(matching, order_by)
        return PagedList(*SearchModelUtils.paginate(ordered, page_token, max_results))

    def delete_registered_model(self, name: str) -> None:
        self.get_registered_model(name)
        del self._models[name], self._versions[name]

    def create_model_version(
        self, name: str, source: str, run_id: str, run_link: str, tags: Iterable[Any], description: str, model_id: str
    ) -> ModelVersion:
        for tag in tags:
            _validate_model_version_tag(tag.key, tag.value)
        self.get_registered_model(name)
        number, now = max(self._versions[name], default=0) + 1, get_current_time_millis()
        version = ModelVersion(
            name,
            str(number),
            now,
            now,
            description,
            current_stage="None",
            source=source,
            run_id=run_id,
            run_link=run_link,
            tags=list(tags),
            model_id=model_id,
        )
        self._versions[name][number] = version
        return version

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        _validate_model_name(name)
        found = self._versions.get(name, {}).get(_validate_model_version(version))
        if found is None:
            raise MlflowException(f"Model Version (name={name}, version={version}) not found", RESOURCE_DOES_NOT_EXIST)
        found.aliases = [alias for alias, number in self._models[name].aliases.items() if number == found.version]
        return found

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return self.get_model_version(name, version).source

    def delete_model_version(self, name: str, version: str) -> None:
        found = self.get_model_version(name, version)
        for alias in found.aliases:
            del self._models[name].aliases[alias]
        self._versions[name][int(found.version)] = None

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        _validate_model_version_tag(tag.key, tag.value)
        self.get_model_version(name, version).tags[tag.key] = tag.value

    def search_model_versions(
        self, filter_string: str, max_results: int, order_by: Sequence[str], page_token: str | None
    ) -> PagedList[ModelVersion]:
        versions = [item for numbered in self._versions.values() for item in numbered.values() if item is not None]
        matching = SearchModelVersionUtils.filter(versions, filter_string)
        ordered = SearchModelVersionUtils.sort(matching, order_by or LATEST_FIRST)
        return PagedList(*SearchModelVersionUtils.paginate(ordered, page_token, max_results))

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        _validate_model_alias_name(alias)
        _validate_model_alias_name_reserved(alias)
        self._models[name].aliases[alias] = self.get_model_version(name, version).version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        _validate_model_alias_name(alias)
        self.get_registered_model(name).aliases.pop(alias, None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        _validate_model_alias_name(alias)
        aliases = self.get_registered_model(name).aliases
        if alias not in aliases:
            raise MlflowException(f"Registered model alias {alias} not found.", INVALID_PARAMETER_VALUE)
        return self.get_model_version(name, aliases[alias])
