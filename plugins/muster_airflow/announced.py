"""What the task `watch` has announced: kept in the store before its events are, and counted only once they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.utils.state import TaskInstanceState

from muster.storage.results import stage_results

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.ingest.news import News
    from muster.storage.store import Store

MOST = 1_000
"""Partitions that are remembered, the newest."""


class Said(NamedTuple):
    """What was said last of a partition."""

    cause: str
    state: str
    at: str
    """When, ISO 8601."""
    run: str
    """The run of `watch` that has said it: its events are there once its task has succeeded, all of them or none."""
    posted: bool = False
    """Whether that is known."""


class Announced:
    """What was announced of a workload's partitions, and surely posted.

    Airflow writes a task's events together with its success, and tells of that. It does not tell reliably of the events
    themselves: in 3.3.2 asking for them fails while a run that one of them has started is queued. So what is about to
    be posted is written down first, with the run; where that run's task did not succeed, it was not posted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = f"events/{store.workload}/announced.json"

    def last(self, context: Context) -> dict[str, Said]:
        """Return what was posted last of each partition."""
        said = self._read()
        runs = sorted({one.run for one in said.values() if not one.posted} - {context["dag_run"].run_id})
        succeeded = _succeeded(context, runs) if runs else set()
        return {
            partition: one._replace(posted=True)
            for partition, one in said.items()
            if one.posted or one.run in succeeded
        }

    def is_spent(self, partition: str, said: Said) -> bool:
        """Tell whether the partition was ingested since: what is new of it then is other news."""
        at = datetime.fromisoformat(said.at)
        return any(result.at >= at for result in stage_results(self._store, "ingest", partition))

    def write(self, last: Mapping[str, Said], chosen: Iterable[News], run: str) -> None:
        """Write down what is about to be posted, beside what was."""
        at = datetime.now(UTC).isoformat()
        said = {**last, **{one.partition: Said(one.cause, one.state, at, run) for one in chosen}}
        newest = dict(sorted(said.items())[-MOST:])
        self._store.files.put(self._path, json.dumps(newest).encode())

    def _read(self) -> dict[str, Said]:
        with suppress(FileNotFoundError):
            return {name: Said(*one) for name, one in json.loads(self._store.files.read(self._path)).items()}
        return {}


def _succeeded(context: Context, runs: list[str]) -> set[str]:
    """Return those of the runs of this very task that have succeeded."""
    ti: Any = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=runs)
    return {run for run, of_tasks in states.items() if TaskInstanceState.SUCCESS in of_tasks.values()}
