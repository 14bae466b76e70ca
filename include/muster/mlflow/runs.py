"""The MLflow runs of each Muster run, one an algorithm: few calls, whatever the number of groups."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from muster.errors import MusterError
from muster.mlflow.budget import muster_errors
from muster.mlflow.budget.create_or_find import CreateOrFind
from muster.mlflow.client import connect
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

RUN_TAG, ALGORITHM_TAG = "muster.run", "muster.algorithm"
"""The tags by which a run is found again when its job is tried twice."""


class ExperimentDeleted(MusterError):
    """Raised when a workload's experiment was deleted: MLflow keeps its name, and takes no runs for it."""

    def __init__(self, name: str, experiment_id: str) -> None:
        super().__init__(
            f"the MLflow experiment '{name}' was deleted; restore it with 'mlflow experiments restore "
            f"--experiment-id {experiment_id}', then run this again"
        )


class RunDeleted(MusterError):
    """Raised when the MLflow run of a training was deleted, and its experiment was not."""

    def __init__(self, run_id: str, for_good: bool) -> None:
        again = "train and evaluate the partition again" if for_good else "then run this again"
        restore = "" if for_good else f"restore it with 'mlflow runs restore --run-id {run_id}', "
        gone = "was deleted for good" if for_good else "was deleted"
        super().__init__(f"the MLflow run '{run_id}' {gone}; {restore}{again}")


@muster_errors()
def training_runs(workload: str, run_ids: Mapping[str, str]) -> dict[str, Run]:
    """Return the MLflow runs of a training by algorithm, a call each; none that takes nothing any more.

    Raises:
        ExperimentDeleted: when one is deleted, and the workload's experiment is.
        RunDeleted: when one is deleted by itself.
    """
    client, runs = connect(), {}
    for algorithm, run_id in run_ids.items():
        try:
            runs[algorithm] = _active_run(client, run_id)
        except RunDeleted:
            find_experiment(client, workload)
            raise
    return runs


def _active_run(client: MlflowClient, run_id: str) -> Run:
    """Return a run that takes something still.

    Raises:
        RunDeleted: when it is deleted, or unknown to this server.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RunDeleted(run_id, for_good=True) from error
    if run.info.lifecycle_stage != "active":
        raise RunDeleted(run_id, for_good=False)
    return run


@muster_errors()
def open_runs(workload: Workload, run: str, algorithms: Iterable[str]) -> dict[str, str]:
    """Return the id of the MLflow run of each algorithm of a Muster run: `close_run` writes them.

    A job that is tried again finds the runs that it created before by their tags: two calls, and one for each new run
    (two more for the workload's first).
    """
    client = connect()
    experiment = _experiment(client, workload)
    ids = _run_ids(client, experiment, run)
    return {name: ids[name][0] if name in ids else _create_run(client, experiment, run, name) for name in algorithms}


@muster_errors()
def run_is_there(run_id: str) -> bool:
    """Tell whether a run takes anything still: it is neither deleted nor unknown to this server. One call."""
    try:
        _active_run(connect(), run_id)
    except RunDeleted:
        return False
    return True


@muster_errors()
def close_run(run_id: str, params: Mapping[str, object], metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
    """Write a run and finish it, in two calls. Metrics are replaced; params must be the same: they belong to the run.

    Raises:
        MlflowException: when a param that the run has is given another value, or the server fails.
    """
    from mlflow.entities import Param, RunTag

    client = connect()
    client.log_batch(
        run_id,
        metrics=_metrics(metrics),
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.set_terminated(run_id)


@muster_errors()
def add_metrics(run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str] | None = None) -> None:
    """Add the metrics and tags of a later stage to a run, in one call.

    Raises:
        RunDeleted: when it takes nothing any more.
    """
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    client, run_tags = connect(), [RunTag(name, value) for name, value in (tags or {}).items()]
    try:
        client.log_batch(run_id, metrics=_metrics(metrics), tags=run_tags)
    except MlflowException as error:
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            _active_run(client, run_id)
        raise


@muster_errors()
def add_files(run_id: str, files: Mapping[str, bytes]) -> None:
    """Add files to a run's artifacts by their paths, a call each and one for all; what is there already is replaced."""
    with TemporaryDirectory() as folder:
        for path, content in files.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        connect().log_artifacts(run_id, folder)


def _metrics(values: Mapping[str, float]) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, 0) for name, value in values.items()]


def find_experiment(client: MlflowClient, name: str) -> str | None:
    """Return the id of a workload's experiment; None where there is none yet.

    Raises:
        ExperimentDeleted: when there was one.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise ExperimentDeleted(name, experiment.experiment_id)
    return None if experiment is None else str(experiment.experiment_id)


def _experiment(client: MlflowClient, workload: Workload) -> str:
    """Return the id of the workload's experiment; the first run creates it."""
    from mlflow.exceptions import MlflowException

    if (experiment := find_experiment(client, workload.name)) is not None:
        return experiment
    try:
        return str(client.create_experiment(workload.name, tags={"muster.workload": workload.name}))
    except MlflowException as error:
        created_meanwhile = find_experiment(client, workload.name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or created_meanwhile is None:
            raise
        return created_meanwhile


def _run_ids(client: MlflowClient, experiment: str, run: str) -> dict[str, list[str]]:
    """Return the run's MLflow runs, algorithm -> ids; the oldest comes first, and is the one that counts."""
    # A run's name holds a date and hexadecimal digits only, so it needs no quoting.
    ids: dict[str, list[str]] = {}
    for item in client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'", order_by=["start_time ASC"]):
        ids.setdefault(item.data.tags[ALGORITHM_TAG], []).append(str(item.info.run_id))
    return ids


def _create_run(client: MlflowClient, experiment: str, run: str, algorithm: str) -> str:
    # The tags come with the run: a job that dies right after leaves a run that the next attempt finds.
    tags = {RUN_TAG: run, ALGORITHM_TAG: algorithm}
    runs = CreateOrFind(
        lambda: _run_ids(client, experiment, run).get(algorithm, []),
        lambda: str(client.create_run(experiment, run_name=f"{run} {algorithm}", tags=tags).info.run_id),
        client.delete_run,
    )
    return runs.remove_surplus(runs.create())
