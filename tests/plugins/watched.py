"""The task `watch` without an Airflow: what is posted is there with the task's success, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from muster_airflow.operators.watch import WatchOperator
from tests.plugins.airflow_task import Task, context_of

ARRIVED = Asset(name="made.arrived", uri="muster://made/arrived", group="muster")


@dataclass
class Outlet:
    """What a task says of an asset before its end."""

    extra: dict[str, Any] = field(default_factory=dict)
    partition_keys: Any = ()

    def add_partitions(self, key: str) -> None:
        self.partition_keys = [key]


@dataclass
class Watched:
    """An Airflow with the one task; what is killed, by any exception, leaves nothing."""

    file: Path
    events: list[Any] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    """Each run, and the state of its task."""
    queued: list[str] = field(default_factory=list)
    """Runs of `ingest` that its events have started."""
    paused: bool = False
    between: Callable[[], None] = lambda: None
    """What happens between the task's two looks."""

    def watch(self, retry: bool = False) -> list[str]:
        """Run the task as Airflow would, the last one again for a `retry`; return the keys that were posted."""
        run, outlet = f"run {len(self.runs) - (1 if retry and self.runs else 0)}", Outlet()
        self.runs[run] = "running"
        task = WatchOperator(task_id="watch", workload=str(self.file), arrived=ARRIVED, pause=0.01)
        ti = Task(runs={"made.ingest": len(self.queued)}, paused=("made.ingest",) if self.paused else ())
        ti.dag_id, ti.task_id, ti.states = "made.watch", "watch", self.runs
        context: Any = context_of(None, ti=ti, outlet_events={ARRIVED: outlet}, run_id=run)
        try:
            task.execute(context)
        except AirflowSkipException:
            return []
        except TaskDeferred as waits:
            self.between()
            try:
                getattr(task, waits.method_name)(context, event=None, **(waits.kwargs or {}))
            except AirflowSkipException:
                return []
        self.events += list(self._committed(outlet))
        self.runs[run] = "success"
        keys = list(outlet.partition_keys)
        self.queued += keys
        return keys

    def _committed(self, outlet: Outlet) -> Iterator[Any]:
        for key in outlet.partition_keys:
            yield SimpleNamespace(partition_key=key, extra=outlet.extra)
