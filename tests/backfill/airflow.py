"""An Airflow of one workload that remembers runs: events start the next stage, as in its DAGs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from muster.airflow_runs import DagRun, TaskInstance
from muster.backfill.request import DAG, SKIPPED
from muster.workload.stages import STAGE_NAMES

BEGAN = datetime(2024, 3, 1, 6, tzinfo=UTC)


@dataclass
class Airflow:
    """Its runs, the oldest first; what tasks have told, and which events have started a run."""

    workload: str = "made"
    now: datetime = BEGAN
    all_runs: list[DagRun] = field(default_factory=list)
    skipped: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(DAG, run) of those that were skipped -> what they say."""
    results: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    events: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    paused_dags: set[str] = field(default_factory=set)

    def runs(self, partition: str, workload: str | None = None) -> Iterator[DagRun]:
        own = [run for run in self.all_runs if run.partition == partition and run.dag.startswith(f"{workload}.")]
        yield from reversed(own)

    def runs_of(self, dag: str, *states: str) -> list[DagRun]:
        return [run for run in reversed(self.all_runs) if run.dag == dag and run.state in (states or (run.state,))]

    def run(self, dag: str, run: str) -> DagRun:
        return next(one for one in self.all_runs if (one.dag, one.id) == (dag, run))

    def causes(self, run: DagRun) -> list[dict[str, Any]]:
        return self.events.get((run.dag, run.id), [])

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        state = "skipped" if (run.dag, run.id) in self.skipped else run.state
        return [TaskInstance(run.dag.rpartition(".")[2], state, 1, -1, run.dag, run.id)]

    def xcom(self, task: TaskInstance, key: str) -> Any:
        told = self.skipped if key == SKIPPED else self.results if key == "return_value" else {}
        return told.get((task.dag, task.run))

    def paused(self) -> set[str]:
        return self.paused_dags

    def trigger(
        self, dag: str, partition: str | None, run: str | None = None, conf: Mapping[str, Any] | None = None
    ) -> str:
        self.calls.append(f"trigger {dag} {partition}")
        assert run is not None
        if (dag, run) not in {(one.dag, one.id) for one in self.all_runs}:
            self.add(dag, run, partition, conf or {})
        return run

    def clear(self, run: DagRun, *, only_failed: bool) -> None:
        self.calls.append(f"clear {run.dag} {run.partition}{' failed' * only_failed}")
        self.skipped.pop((run.dag, run.id), None)
        self._put(replace(run, state="queued", ended_at=None))

    def add(self, dag: str, run: str, partition: str | None, conf: Mapping[str, Any], state: str = "queued") -> DagRun:
        added = DagRun(dag, run, state, None, self.now, None, None, partition, conf, "ann")
        self.all_runs.append(added)
        return added

    def end(self, stage: str, partition: str, how: str = "success", why: str = "", stopped: bool = False) -> None:
        """End a stage's newest run; one that succeeds starts the next stage, as its event does."""
        run = next(self._of(stage, partition))
        self.now += timedelta(seconds=10)
        self._put(replace(run, state="failed" if how == "failed" else "success", ended_at=self.now))
        if how == "skipped":
            self.skipped[run.dag, run.id] = {"why": why, "stopped": stopped}
        following = STAGE_NAMES[STAGE_NAMES.index(stage) + 1 :][:1]
        for after in following if how == "success" else ():
            dag, id = f"{self.workload}.{after}", f"asset_triggered__{len(self.all_runs)}"
            known = run.conf or next(iter(self.causes(run)), {"backfill": False})
            self.events[dag, id] = [dict(known)]
            self.add(dag, id, partition, {})

    def _of(self, stage: str, partition: str) -> Iterator[DagRun]:
        dag = f"{self.workload}.{stage}"
        return (run for run in reversed(self.all_runs) if (run.dag, run.partition) == (dag, partition))

    def _put(self, run: DagRun) -> None:
        place = next(n for n, one in enumerate(self.all_runs) if (one.dag, one.id) == (run.dag, run.id))
        self.all_runs[place] = run


def umbrella(airflow: Airflow, run: str, form: Mapping[str, Any], state: str = "running") -> DagRun:
    """Add a run of the DAG `backfill`."""
    return airflow.add(DAG, run, None, form, state)
