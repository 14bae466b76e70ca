"""A backfill brought forward: one partition at a time, in order of time, so that a live run waits for one of ours at
most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.airflow_runs import DagRun
from muster.backfill.request import DAG, EVENT, Backfill, Request
from muster.backfill.stage_runs import Airflow, stage_runs
from muster.backfill.step import Again, End, Over, Start, Wait, ends_of, next_step
from muster.errors import MusterError, bounded

Ends = dict[str, dict[str, End]]
"""Partition -> stage -> how it has ended."""


class StagesPaused(MusterError):
    """Raised when runs of stages that are asked for would only be queued."""

    def __init__(self, dags: Sequence[str]) -> None:
        super().__init__(f"paused: {bounded(dags)}; unpause what is to run, then run the backfill again")


class RunBefore(MusterError):
    """Raised when another backfill of the workload is about the same partitions."""

    def __init__(self, id: str, other: Request, user: str | None, since: datetime | None) -> None:
        began = f"{since:%Y-%m-%d %H:%M} UTC" if since else "just now"
        super().__init__(
            f"{other} is being backfilled by the run '{id}' of '{DAG}', started by '{user or 'unknown'}', since "
            f"{began}; wait for its end, or mark that run as failed"
        )


@dataclass(frozen=True)
class At:
    """Where a backfill stands: at the partition with this number, at work on a stage of it."""

    number: int
    partition: str
    stage: str
    state: str

    def shown(self, of: int) -> dict[str, Any]:
        """Return what an operator is shown of it."""
        about = {"partition": self.partition, "stage": self.stage, "state": self.state}
        return {**about, "partitions_ended": self.number, "partitions": of}


@dataclass(frozen=True)
class Advance:
    """A backfill and its partitions, driven through Airflow's REST API."""

    airflow: Airflow
    request: Request
    backfill: Backfill
    partitions: Sequence[str]
    since: datetime
    """When it began, or went on after it had ended."""

    def check_free(self) -> None:
        """Check that every stage may run, and that no other backfill, begun before, is about the same partitions.

        Raises:
            StagesPaused, RunBefore: when not.
        """
        if paused := sorted(self.airflow.paused() & {self.request.dag(stage) for stage in self.request.stages}):
            raise StagesPaused(paused)
        runs = self.airflow.runs_of(DAG, "queued", "running")
        own = next((run for run in runs if run.id == self.backfill.id), None)
        for run in sorted(runs, key=_order):
            other = Request.of_run(run.conf)
            earlier = own is None or _order(run) < _order(own)
            if other is not None and earlier and other.overlaps(self.request):
                raise RunBefore(run.id, other, run.user, run.began_at or run.queued_at)

    def go_on(self, number: int, now: datetime) -> At | None:
        """Do what is due, beginning at the partition with this number; return where it waits, None when all is over.

        With promotion it is over, too, where a partition fails: each is judged against what the one before left.
        """
        for at in range(number, len(self.partitions)):
            partition = self.partitions[at]
            runs = stage_runs(self.airflow, self.request, self.backfill.id, partition)
            match next_step(self.request.stages, runs, self.since, now):
                case Wait(stage, state):
                    return At(at, partition, stage, state)
                case Start(stage):
                    conf = {EVENT: self.backfill.as_conf()}
                    self.airflow.trigger(self.request.dag(stage), partition, self._run_id(partition), conf)
                    return At(at, partition, stage, "started")
                case Again(stage, run, only_failed):
                    self.airflow.clear(run, only_failed=only_failed)
                    return At(at, partition, stage, "cleared")
                case Over(ends):
                    if self.request.promote and any(end.state == "failed" for end in ends.values()):
                        return None
        return None

    def ends(self) -> Ends:
        """Return how each stage of each partition has ended, by Airflow's runs as they are now."""
        ends: Ends = {}
        failed = ""
        for partition in self.partitions:
            runs = stage_runs(self.airflow, self.request, self.backfill.id, partition)
            otherwise = f"partition {failed} failed before" if failed and self.request.promote else "it never began"
            ends[partition] = ends_of(self.request.stages, runs, otherwise)
            if not failed and any(end.state == "failed" for end in ends[partition].values()):
                failed = partition
        return ends

    def _run_id(self, partition: str) -> str:
        """Return the id of a run: always the same, so that one that was asked for twice is started once.

        Airflow keeps the prefix `backfill__` for runs of its own backfills.
        """
        return f"backfill-{partition}-of-{self.backfill.id}"


def _order(run: DagRun) -> tuple[str, str]:
    return (run.queued_at.isoformat() if run.queued_at else "", run.id)
