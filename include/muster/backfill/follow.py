"""A backfill as a command begins, continues and follows it: by its run of the DAG `backfill`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from muster.airflow_runs import DagRun
from muster.backfill.advance import RunBefore, StagesPaused
from muster.backfill.request import DAG, PROBLEM, REPORT, Request
from muster.backfill.stage_runs import Airflow, stage_runs

POLL_SECONDS = 2.0


class Following(Airflow, Protocol):
    """What a command asks of Airflow's REST API besides."""

    def run(self, dag: str, run: str) -> DagRun:
        """Return a run by its id."""


def begin(airflow: Following, request: Request, many: bool = False) -> tuple[str, str]:
    """Begin a backfill, or go on with the last one that was asked for likewise; return its run and which of these.

    One that is at work is followed, one that failed or was stopped is cleared, and after one that succeeded there is a
    new one.

    Raises:
        StagesPaused: when runs of its DAG would only be queued.
        RunBefore: when another one that is at work is about the same partitions.
    """
    if DAG in airflow.paused():
        raise StagesPaused([DAG])
    runs = airflow.runs_of(DAG)
    for run in runs:
        other = Request.of_run(run.conf)
        if run.active and other is not None and other != request and other.overlaps(request):
            raise RunBefore(run.id, other, run.user, run.began_at or run.queued_at)
    last = next((run for run in runs if Request.of_run(run.conf) == request), None)
    if last is not None and last.active:
        return last.id, "is at work already"
    if last is not None and last.state == "failed":
        airflow.clear(last, only_failed=False)
        return last.id, "goes on"
    id = f"{request.workload}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    return airflow.trigger(DAG, None, id, {**request.form(), "many": many}), "begins"


@dataclass
class Follower:
    """Watches a backfill to its end and passes on each change once."""

    airflow: Following
    request: Request
    id: str
    partitions: Sequence[str]
    on_change: Callable[[str, str, str, str], None]
    """Called with partition, stage, state and why it is so."""
    _last: dict[tuple[str, str], str] = field(default_factory=dict)
    _ended: int = 0

    def follow(self) -> tuple[DagRun, dict[str, Any] | None]:
        """Return the run once it has ended, and its report, where it came to one."""
        while (run := self.airflow.run(DAG, self.id)).active:
            self._look()
            time.sleep(POLL_SECONDS)
        self._look()
        report: dict[str, Any] | None = self._told(run, REPORT)
        return run, report

    def problem(self, run: DagRun) -> str:
        """Return why a run has ended without a report: what it says itself; nothing where somebody has stopped it."""
        return str(self._told(run, PROBLEM) or "somebody has stopped it, or its log says why")

    def _told(self, run: DagRun, key: str) -> Any:
        return next((found for task in self.airflow.tasks(run) if (found := self.airflow.xcom(task, key))), None)

    def _look(self) -> None:
        """Pass on what has changed of the partition at work, and go on to the next once nothing of it is."""
        for partition in self.partitions[self._ended :]:
            runs = stage_runs(self.airflow, self.request, self.id, partition)
            for stage, one in ((stage, runs[stage]) for stage in self.request.stages if stage in runs):
                if self._last.get((partition, stage)) != one.state:
                    self._last[partition, stage] = one.state
                    self.on_change(partition, stage, one.state, one.why)
            if not runs or any(one.active for one in runs.values()) or not self._is_over(partition):
                return
            self._ended += 1

    def _is_over(self, partition: str) -> bool:
        """Tell whether the backfill has gone on to a later partition."""
        later = self.partitions[self.partitions.index(partition) + 1 :][:1]
        return any(stage_runs(self.airflow, self.request, self.id, after) for after in later)
