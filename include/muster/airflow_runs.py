"""Runs of Airflow's DAGs and their tasks, as its REST API describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG for one partition."""

    dag: str
    id: str
    state: str
    seconds: float | None
    """How long it ran, once it has finished."""
    queued_at: datetime | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    partition: str | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    """What it was triggered with."""
    user: str | None = None
    """Who triggered it."""

    @property
    def active(self) -> bool:
        """Whether it has not finished yet."""
        return self.state in ("queued", "running")


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run."""

    task: str
    state: str | None
    tries: int
    map_index: int
    dag: str = ""
    run: str = ""


def dag_run(run: Mapping[str, Any]) -> DagRun:
    """Return a run as the REST API describes it."""
    return DagRun(
        run["dag_id"],
        run["dag_run_id"],
        run["state"],
        run["duration"],
        _timestamp(run["queued_at"]),
        _timestamp(run["start_date"]),
        _timestamp(run["end_date"]),
        run["partition_key"],
        run.get("conf") or {},
        run.get("triggering_user_name"),
    )


def _timestamp(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
