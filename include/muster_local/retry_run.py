"""One run of the DAG `<workload>.retry`: started, and watched to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muster.airflow_api import Airflow
from muster.airflow_runs import DagRun
from muster_local.line import POLL_SECONDS, WAITING_STATES, DagsMissing, DagsPaused, LineStopped, last_lines
from muster_local.open_runs import RETRY

ENDED = ("success", "skipped", "failed", "upstream_failed", "removed")
"""A task's states in which it changes no more."""


@dataclass(frozen=True)
class RetryRun:
    """The retries of one workload in one Airflow."""

    airflow: Airflow
    workload: str
    on_task: Callable[[str, str], None]
    """Called with a task and its state whenever the state changes."""

    @property
    def dag(self) -> str:
        """The DAG's name."""
        return f"{self.workload}.{RETRY}"

    def run(self, partition: str, groups: Sequence[str], why: str) -> None:
        """Start a retry of some groups of a partition, or of all that are due where none is named; wait for its end.

        Raises:
            DagsMissing, DagsPaused: when it cannot be started.
            LineStopped: when it fails, or a human is against it.
        """
        if not self.airflow.has_dag(self.dag):
            raise DagsMissing([self.dag], self.airflow.import_errors())
        if self.dag in self.airflow.paused():
            raise DagsPaused([self.dag], self.airflow.url)
        started = self.airflow.trigger(self.dag, partition, conf={"groups": list(groups), "why": why})
        states: dict[str, str] = {}
        while True:
            run = next((one for one in self.airflow.runs(partition) if one.id == started), None)
            if run is not None:
                self._report(run, states)
                if not run.active:
                    return self._check(run, states)
            time.sleep(POLL_SECONDS)

    def _report(self, run: DagRun, states: dict[str, str]) -> None:
        for task in sorted(self.airflow.tasks(run), key=lambda task: task.state not in ENDED):
            state = WAITING_STATES.get(task.state or "", task.state or "")
            if state and states.get(task.task) != state:
                states[task.task] = state
                self.on_task(task.task, state)

    def _check(self, run: DagRun, states: dict[str, str]) -> None:
        page = f"{self.airflow.url}/dags/{run.dag}/runs/{run.id}"
        if run.state != "success":
            raise LineStopped(f"{run.dag} failed, see {page}", last_lines(self.airflow, run, "failed"))
        skipped = {task for task, state in states.items() if state == "skipped"}
        if skipped and "find_due" not in skipped and "promote" in skipped:
            raise LineStopped(f"{run.dag} promoted nothing, see {page}", last_lines(self.airflow, run, "skipped"))
