"""The runs that a backfill has in Airflow for one partition: which are its own, and how each stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from muster.airflow_runs import DagRun, TaskInstance
from muster.backfill.request import EVENT, PROMOTE, SKIPPED, Request


class Airflow(Protocol):
    """What a backfill asks of Airflow's REST API."""

    def runs(self, partition: str, workload: str | None = None) -> Iterator[DagRun]:
        """Yield the runs of a workload's DAGs for a partition, the newest first."""

    def runs_of(self, dag: str, *states: str) -> list[DagRun]:
        """Return the newest runs of a DAG, of all states or of these."""

    def causes(self, run: DagRun) -> list[dict[str, Any]]:
        """Return what the asset events say that started a run."""

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        """Return the task instances of a run."""

    def xcom(self, task: TaskInstance, key: str) -> Any:
        """Return what a task has pushed by a key; None where it has not."""

    def trigger(
        self, dag: str, partition: str | None, run: str | None = None, conf: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run, one however often it is asked for by the same id."""

    def clear(self, run: DagRun, *, only_failed: bool) -> None:
        """Let a run's tasks run again."""

    def paused(self) -> set[str]:
        """Return the DAGs that are paused."""


@dataclass(frozen=True)
class StageRun:
    """The newest run that a backfill has of a stage, for one partition."""

    run: DagRun
    state: str
    """queued, running, done, skipped or failed."""
    why: str = ""
    stopped: bool = False
    """Whether it was skipped since the backfill had been stopped: it has to run yet."""

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.run.active


def stage_runs(airflow: Airflow, request: Request, id: str, partition: str) -> dict[str, StageRun]:
    """Return stage -> how the newest run stands that the backfill `id` has of it for a partition."""
    newest: dict[str, StageRun] = {}
    for run in airflow.runs(partition, request.workload):
        stage = run.dag.removeprefix(f"{request.workload}.")
        if stage in request.stages and stage not in newest and _is_of(airflow, run, id):
            newest[stage] = _standing(airflow, run, stage)
    return newest


def _is_of(airflow: Airflow, run: DagRun, id: str) -> bool:
    """Tell whether a run is a backfill's: by what it was triggered with, or by the events that started it."""
    if EVENT in run.conf:
        return _id(run.conf) == id
    return not run.conf and run.id.startswith("asset_triggered__") and id in map(_id, airflow.causes(run))


def _id(carried: Mapping[str, Any]) -> str | None:
    backfill = carried.get(EVENT)
    return backfill.get("id") if isinstance(backfill, Mapping) else None


def _standing(airflow: Airflow, run: DagRun, stage: str) -> StageRun:
    if run.state == "failed":
        return StageRun(run, "failed", "its log says why")
    if run.state != "success":
        return StageRun(run, run.state)
    tasks = airflow.tasks(run)
    if not any(task.task == stage and task.state == "skipped" for task in tasks):
        return StageRun(run, "done", _nothing_moved(airflow, tasks) if stage == PROMOTE else "")
    for task in tasks:  # of a partition that is not to be trained, the one that has decided so
        if told := airflow.xcom(task, SKIPPED):
            return StageRun(run, "skipped", told["why"], bool(told["stopped"]))
    return StageRun(run, "skipped", "its log says why")


def _nothing_moved(airflow: Airflow, tasks: Sequence[TaskInstance]) -> str:
    """Return why a promotion that came to its end has moved nothing, as where the champion is of a later partition."""
    results = (airflow.xcom(task, "return_value") for task in tasks if task.task == PROMOTE)
    result = next((found for found in results if isinstance(found, Mapping)), {"moved": True})
    return "" if result.get("moved") else str(result.get("reason") or "nothing was moved")
