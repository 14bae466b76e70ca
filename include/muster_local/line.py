"""One partition through all stages: start the first DAG, watch each that its assets start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from muster.airflow_api import Airflow
from muster.airflow_runs import DagRun
from muster.errors import MusterError
from muster.workload.retrain import Retrain
from muster.workload.spec import Workload
from muster.workload.stages import MONITOR, STAGE_NAMES, TRAINING, StageName, stage_names

POLL_SECONDS = 1.0
NEXT_STAGE_SECONDS = 600.0
"""Seconds within which a successful stage must have started the next: on an idle machine it takes two."""

DAGS_READ_SECONDS = 600.0
"""Seconds within which Airflow must have read the DAG files: on an idle machine it takes ten."""

LOG_LINES = 30

WAITING_STATES = {
    "up_for_retry": "waiting to retry",
    "deferred": "waiting, its page says for what",
    "awaiting_input": "waiting for an answer",
}
"""A task's state -> what is reported of its run, where that says more than the run's own state."""


class DagsMissing(MusterError):
    """Raised when Airflow does not show a workload's DAGs."""

    def __init__(self, missing: list[str], errors: list[str]) -> None:
        because = f": {'; '.join(errors)}" if errors else ""
        super().__init__(f"Airflow has no DAG {', '.join(missing)}{because}")


class DagsPaused(MusterError):
    """Raised when somebody has paused DAGs that the line needs."""

    def __init__(self, paused: list[str], url: str) -> None:
        super().__init__(
            f"somebody has paused {', '.join(paused)}: nothing was started; unpause at {url}/dags what may run again, "
            f"then run this again"
        )


class LineStopped(MusterError):
    """Raised when a stage fails or the next one does not start; holds the failing task's last lines."""

    def __init__(self, reason: str, log: list[str]) -> None:
        self.log = log
        super().__init__(reason)


@dataclass(frozen=True)
class Line:
    """The DAGs of one workload in one Airflow."""

    airflow: Airflow
    workload: str
    on_stage: Callable[[str, str, float | None], None]
    """Called with a stage, its state and its seconds whenever the state changes."""
    declared: Workload | None = None
    """Which stages it has, and what starts each; None: the usual ones, one after the other."""

    @property
    def stages(self) -> tuple[StageName, ...]:
        """Those of the workload."""
        return STAGE_NAMES if self.declared is None else stage_names(self.declared)

    @property
    def _retrain(self) -> Retrain | None:
        return None if self.declared is None else self.declared.retrain

    def open(self, stages: Sequence[str] = ()) -> None:
        """Wait until Airflow has read the DAGs of stages, or of all, and let them run; what is paused by hand stays so.

        Raises:
            DagsMissing: when Airflow does not show them.
            DagsPaused: when somebody has paused any of them.
        """
        deadline = time.monotonic() + DAGS_READ_SECONDS
        dags = [self._dag(stage) for stage in stages or self.stages]
        while missing := [dag for dag in dags if not self.airflow.has_dag(dag)]:
            errors = self.airflow.import_errors()
            if errors or time.monotonic() > deadline:
                raise DagsMissing(missing, errors)
            self.on_stage("Airflow", "reads the DAGs", None)
            time.sleep(POLL_SECONDS)
        if paused := [dag for dag in dags if self.airflow.paused_by_hand(dag)]:
            raise DagsPaused(paused, self.airflow.url)
        for dag in dags:
            self.airflow.unpause(dag)

    def run(self, partition: str) -> dict[str, float]:
        """Bring a partition through all stages and return the seconds that each took.

        A run that an earlier call left unfinished is watched to its end instead of starting another.
        """
        before = self._runs(partition)
        finished = {run.id for run in before.values() if not run.active}
        if len(finished) == len(before):
            self.airflow.trigger(self._dag(self.stages[0]), partition)
        reporter = _Reporter(self.on_stage)
        while True:
            runs = {stage: run for stage, run in self._runs(partition).items() if run.id not in finished}
            for stage in self.stages:
                if stage in runs and not reporter.ended(stage, runs[stage]):
                    reporter.report(stage, runs[stage], self._state(runs[stage]))
            self._check(runs, reporter)
            if self._ended(runs):
                return {stage: run.seconds or 0.0 for stage, run in runs.items()}
            time.sleep(POLL_SECONDS)

    def _ended(self, runs: dict[str, DagRun]) -> bool:
        """Tell whether all stages have ended that this partition goes through, or were skipped, with their reasons."""
        path = self._path(runs)
        beside = self._retrain is not None and not self._retrain.score_waits and "promote" in path
        last = [path[-1], *(["promote"] if beside else [])]
        return all(stage in runs and runs[stage].state == "success" for stage in last)

    def _path(self, runs: dict[str, DagRun]) -> list[str]:
        """Return the stages that the partition goes through: not training where that has decided so, nor what would
        follow a score that was skipped, whose event does not come."""
        left_out: set[str] = set()
        if "train" in runs and self._kept(runs["train"]):
            left_out.update(TRAINING)
        if MONITOR.name in self.stages and "score" in runs and self._state(runs["score"]) == "skipped":
            left_out.add(MONITOR.name)
        return [stage for stage in self.stages if stage not in left_out]

    def _kept(self, run: DagRun) -> bool:
        """Tell whether a run is one of training that has decided that the partition is not trained."""
        if self._retrain is None or run.dag != self._dag("train") or run.state != "success":
            return False
        return any(task.task == "train" and task.state == "skipped" for task in self.airflow.tasks(run))

    def _dag(self, stage: str) -> str:
        return f"{self.workload}.{stage}"

    def _runs(self, partition: str) -> dict[str, DagRun]:
        """Return each stage's newest run for the partition."""
        newest: dict[str, DagRun] = {}
        for run in self.airflow.runs(partition):
            workload, _, stage = run.dag.rpartition(".")
            if workload == self.workload and stage in self.stages:
                newest.setdefault(stage, run)
        return newest

    def _state(self, run: DagRun) -> str:
        """Return a run's state, or its tasks' where they say more."""
        if run.state not in ("running", "success"):
            return run.state
        tasks = self.airflow.tasks(run)
        if run.state == "success":
            skipped = tasks and (all(task.state == "skipped" for task in tasks) or self._kept(run))
            return "skipped" if skipped else run.state
        states = [WAITING_STATES[task.state] for task in tasks if task.state in WAITING_STATES]
        return states[0] if states else run.state

    def _check(self, runs: dict[str, DagRun], reporter: _Reporter) -> None:
        for run in runs.values():
            if run.state == "failed":
                raise LineStopped(f"{run.dag} failed, see {self._page(run)}", last_lines(self.airflow, run, "failed"))
        if any(run.active for run in runs.values()):
            return
        path = self._path(runs)
        reached = [stage for stage in path if stage in runs]
        last = runs[reached[-1]] if reached and reached[-1] != path[-1] else None
        if last and any(task.state == "skipped" for task in self.airflow.tasks(last)):
            raise LineStopped(
                f"{last.dag} was skipped, see {self._page(last)}", last_lines(self.airflow, last, "success", "skipped")
            )
        waiting = next((stage for stage in path if stage not in reached), None)
        if waiting is None:
            return
        if reporter.seconds_unchanged() < NEXT_STAGE_SECONDS:
            self.on_stage(waiting, "has not started yet", None)
            return
        raise LineStopped(f"{self._dag(waiting)} did not start within {NEXT_STAGE_SECONDS:.0f} s", [])

    def _page(self, run: DagRun) -> str:
        return f"{self.airflow.url}/dags/{run.dag}/runs/{run.id}"


def last_lines(airflow: Airflow, run: DagRun, *states: str) -> list[str]:
    """Return the last log lines of a task in the first of these states that any task is in."""
    tasks = airflow.tasks(run)
    for task in (task for state in states for task in tasks if task.state == state and task.tries):
        lines = airflow.log(run, task)
        return [line for line in lines if line.strip() and not line.startswith("::")][-LOG_LINES:]
    return []


@dataclass
class _Reporter:
    """Reports each change of a stage's state once, and knows when the last change was."""

    on_stage: Callable[[str, str, float | None], None]
    states: dict[str, str] = field(default_factory=dict)
    changed: float = field(default_factory=time.monotonic)

    def report(self, stage: str, run: DagRun, state: str) -> None:
        if self.states.get(stage) != state:
            self.states[stage] = state
            self.changed = time.monotonic()
            self.on_stage(stage, state, run.seconds)

    def ended(self, stage: str, run: DagRun) -> bool:
        """Tell whether a run's end is reported already: Airflow need not be asked for its tasks again."""
        return run.state == "success" and self.states.get(stage) in ("success", "skipped")

    def seconds_unchanged(self) -> float:
        return time.monotonic() - self.changed
