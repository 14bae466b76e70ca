"""The one MLflow run of each Muster run: made with as few calls as can be, whatever the number of groups."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from muster.settings import settings
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

RUN_TAG = "muster.run"
"""The tag by which a run is found again when its job is tried twice."""


def connect() -> MlflowClient:
    """Return a client of the MLflow server of the settings, and make it the process's own. No call is sent."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # and saves a call
    import mlflow

    uri = settings().mlflow_tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient()


def training_run(
    workload: Workload,
    run: str,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> str:
    """Write one Muster run to MLflow as one finished MLflow run and return its id.

    A job that is tried again finds the run that it wrote before: by `run_id` (2 calls), else by its tag (4 calls; 5 for
    a new run, 6 for the workload's first). Metrics are replaced, params must be the same: they belong to the run.

    Raises:
        MlflowException: when a param that the run has is given another value, or the server fails.
    """
    from mlflow.entities import Param, RunTag

    client = connect()
    if run_id is None:
        experiment = _experiment(client, workload)
        run_id = _find(client, experiment, run) or _create(client, experiment, run)
    written = {**tags, RUN_TAG: run}
    client.log_batch(
        run_id,
        metrics=_metrics(metrics),
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in written.items()],
    )
    client.set_terminated(run_id)
    return run_id


def add_metrics(run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str] | None = None) -> None:
    """Add what a later stage found to a run, in one call."""
    from mlflow.entities import RunTag

    given = [RunTag(name, value) for name, value in (tags or {}).items()]
    connect().log_batch(run_id, metrics=_metrics(metrics), tags=given)


def _metrics(values: Mapping[str, float]) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, 0) for name, value in values.items()]


def _experiment(client: MlflowClient, workload: Workload) -> str:
    """Return the id of the workload's experiment; the first run makes it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(workload.name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(workload.name, tags={"muster.workload": workload.name}))
    except MlflowException as error:
        made_meanwhile = client.get_experiment_by_name(workload.name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or made_meanwhile is None:
            raise
        return str(made_meanwhile.experiment_id)


def _find(client: MlflowClient, experiment: str, run: str) -> str | None:
    # A run's name holds a date and hexadecimal digits only, so it needs no quoting.
    found = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'", max_results=1, order_by=["start_time ASC"])
    return str(found[0].info.run_id) if found else None


def _create(client: MlflowClient, experiment: str, run: str) -> str:
    # The tag comes with the run: a job that dies right after leaves a run that the next attempt finds.
    return str(client.create_run(experiment, run_name=run, tags={RUN_TAG: run}).info.run_id)
