"""Experiments, runs and logged models, in memory."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow.entities import (
    Experiment,
    LifecycleStage,
    LoggedModel,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
)
from mlflow.entities.run_info import check_run_is_active
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchLoggedModelsUtils, SearchUtils
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_experiment_name,
    _validate_logged_model_name,
    _validate_param_keys_unique,
    _validate_run_id,
)

from tests.registry.absent import RefusesTheRest

PAGE_OF_MODELS = 100


class RunStore(RefusesTheRest):
    """What MLflow's handlers ask of a tracking store, as far as Muster and its tests go."""

    set_model_versions_tags = AbstractStore.set_model_versions_tags

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._experiments: dict[str, Experiment] = {}
        self._runs: dict[str, Run] = {}
        self._logged_models: dict[str, LoggedModel] = {}
        self._deleted_models: set[str] = set()

    def create_experiment(self, name: str, artifact_location: str, tags: Sequence[Any]) -> str:
        _validate_experiment_name(name)
        if self.get_experiment_by_name(name) is not None:
            raise MlflowException(f"Experiment(name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
        number, now = str(next(self._numbers)), get_current_time_millis()
        location = artifact_location or f"mlflow-artifacts:/{number}"
        self._experiments[number] = Experiment(number, name, location, LifecycleStage.ACTIVE, tags, now, now)
        return number

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        return next((item for item in self._experiments.values() if item.name == experiment_name), None)

    def delete_experiment(self, experiment_id: str) -> None:
        self._experiment(experiment_id)._lifecycle_stage = LifecycleStage.DELETED

    def _experiment(self, experiment_id: str) -> Experiment:
        if experiment_id not in self._experiments:
            raise MlflowException(f"No Experiment with id={experiment_id} exists", RESOURCE_DOES_NOT_EXIST)
        return self._experiments[experiment_id]

    def create_run(
        self, experiment_id: str, user_id: str, start_time: int, tags: Sequence[RunTag], run_name: str
    ) -> Run:
        experiment, run_id = self._experiment(experiment_id), uuid.uuid4().hex
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            raise MlflowException(
                f"The experiment {experiment_id} must be in the 'active' state.", INVALID_PARAMETER_VALUE
            )
        named = {tag.key: tag.value for tag in tags}
        name = named.setdefault(MLFLOW_RUN_NAME, run_name or _generate_random_name())
        info = RunInfo(
            run_id,
            experiment_id,
            user_id,
            RunStatus.to_string(RunStatus.RUNNING),
            start_time,
            None,
            LifecycleStage.ACTIVE,
            f"{experiment.artifact_location}/{run_id}/artifacts",
            name,
        )
        self._runs[run_id] = Run(info, RunData(tags=[RunTag(*tag) for tag in named.items()]))
        return self._runs[run_id]

    def get_run(self, run_id: str) -> Run:
        _validate_run_id(run_id)
        if run_id not in self._runs:
            raise MlflowException(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
        return self._runs[run_id]

    def _active_run(self, run_id: str) -> Run:
        run = self.get_run(run_id)
        check_run_is_active(run.info)
        return run

    def update_run_info(self, run_id: str, status: int | None, end_time: int | None, run_name: str | None) -> RunInfo:
        run = self._active_run(run_id)
        run._info = run.info._copy_with_overrides(status, end_time, run_name=run_name)
        return run.info

    def delete_run(self, run_id: str) -> None:
        run = self.get_run(run_id)
        run._info = run.info._copy_with_overrides(lifecycle_stage=LifecycleStage.DELETED)

    def log_batch(self, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]) -> None:
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        run = self._active_run(run_id)
        known: Mapping[str, str] = run.data.params
        if changed := [param.key for param in params if known.get(param.key, param.value) != param.value]:
            raise MlflowException(f"Changing param values is not allowed: {changed}", INVALID_PARAMETER_VALUE)
        run._data = RunData(
            _latest([*run.data._metric_objs, *metrics]),
            [Param(*item) for item in ({**known} | {param.key: param.value for param in params}).items()],
            [RunTag(*item) for item in (run.data.tags | {tag.key: tag.value for tag in tags}).items()],
        )

    def delete_tag(self, run_id: str, key: str) -> None:
        tags = self._active_run(run_id).data.tags
        if key not in tags:
            raise MlflowException(f"No tag with name: {key} in run with id {run_id}", RESOURCE_DOES_NOT_EXIST)
        del tags[key]

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        run_view_type: int,
        max_results: int,
        order_by: Sequence[str],
        page_token: str | None,
    ) -> PagedList[Run]:
        stages = LifecycleStage.view_type_to_stages(run_view_type)
        runs = [run for run in self._runs.values() if run.info.experiment_id in experiment_ids]
        matching = SearchUtils.filter([run for run in runs if run.info.lifecycle_stage in stages], filter_string)
        return PagedList(*SearchUtils.paginate(SearchUtils.sort(matching, order_by), page_token, max_results))

    def create_logged_model(
        self, experiment_id: str, name: str | None, model_type: str, source_run_id: str, params: Any, tags: Any
    ) -> LoggedModel:
        _validate_logged_model_name(name)
        experiment, model_id, now = self._experiment(experiment_id), f"m-{uuid.uuid4().hex}", get_current_time_millis()
        model = LoggedModel(
            experiment_id,
            model_id,
            name or _generate_random_name(),
            f"{experiment.artifact_location}/models/{model_id}/artifacts",
            now,
            now,
            model_type,
            source_run_id,
            LoggedModelStatus.PENDING,
            tags=tags,
            params=params,
        )
        self._logged_models[model_id] = model
        return model

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        if model_id not in self._logged_models or (model_id in self._deleted_models and not allow_deleted):
            raise MlflowException(f"Logged model with ID '{model_id}' not found.", RESOURCE_DOES_NOT_EXIST)
        return self._logged_models[model_id]

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        model = self.get_logged_model(model_id)
        model.status, model.last_updated_timestamp = status, get_current_time_millis()
        return model

    def set_logged_model_tags(self, model_id: str, tags: Iterable[Any]) -> None:
        self.get_logged_model(model_id).tags.update({tag.key: tag.value for tag in tags})

    def delete_logged_model(self, model_id: str) -> None:
        self.get_logged_model(model_id, allow_deleted=True)
        self._deleted_models.add(model_id)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        datasets: Any,
        max_results: int | None,
        order_by: Any,
        page_token: str | None,
    ) -> PagedList[LoggedModel]:
        there = [model for model in self._logged_models.values() if model.model_id not in self._deleted_models]
        models = [model for model in there if model.experiment_id in experiment_ids]
        matching = SearchLoggedModelsUtils.filter_logged_models(models, filter_string, datasets)
        ordered = SearchLoggedModelsUtils.sort(matching, order_by)
        return PagedList(*SearchLoggedModelsUtils.paginate(ordered, page_token, max_results or PAGE_OF_MODELS))


def _latest(metrics: Iterable[Metric]) -> list[Metric]:
    """Return the latest value of each metric; of two at the same time the greater one, as MLflow does."""
    ordered = sorted(metrics, key=lambda item: (item.step, item.timestamp, item.value))
    return list({item.key: item for item in ordered}.values())
