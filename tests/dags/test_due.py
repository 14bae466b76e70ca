"""Which partitions `ingest` runs by its cron, and when: asked of its stored DAG, as the scheduler does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muster.workload.load import load_workload
from muster_local import PROJECT
from tests.plugins.airflow_task import WORKLOAD, declare

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

import pendulum
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo

from muster_airflow.dags import workload_dags

DAILY = 'schedule: {start: 2024-01-01, every: 1, cron: "0 6 * * *"}'
WEEKLY = 'schedule: {start: 2024-01-01, every: 7, cron: "30 6 * * mon"}'


def at(text: str) -> datetime:
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.fixture
def due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Iterator[str]]:
    """Yield the keys of the runs that are due now, oldest first, after a last run."""

    def keys(schedule: str, now: str, last: DagRunInfo | None = None) -> Iterator[str]:
        monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: at(now))
        path = declare(tmp_path)
        path.write_text(WORKLOAD.replace("schedule: {start: 2024-01-01}", schedule), encoding="utf-8")
        ingest: Any = DagSerialization.from_dict(DagSerialization.to_dict(workload_dags(load_workload(path), path)[0]))
        while (last := ingest.next_dagrun_info(last_automated_run_info=last)) and last.run_after <= at(now):
            yield str(last.partition_key)

    return keys


def run(partition: str, after: str) -> DagRunInfo:
    """A run as Airflow remembers it. That of a backfill is to run after the very moment that its partition names."""
    return DagRunInfo(run_after=at(after), data_interval=None, partition_date=at(partition), partition_key=partition)


SCHEDULED = run("2024-01-01T06:00", "2024-01-02T06:00")
BACKFILLED = run("2024-01-01T06:00", "2024-01-01T06:00")


def test_slices_that_an_outage_left_out_run_oldest_first(due: Callable[..., Iterator[str]]) -> None:
    keys = list(due(DAILY, "2024-02-06T12:00", SCHEDULED))
    assert keys == [f"{day:%Y-%m-%d}" for day in pendulum.interval(at("2024-01-02"), at("2024-02-05")).range("days")]


def test_a_workload_may_declare_that_only_the_latest_runs(due: Callable[..., Iterator[str]]) -> None:
    only_latest = DAILY.replace("}", ", catchup: false}")
    assert list(due(only_latest, "2024-02-06T12:00", SCHEDULED)) == ["2024-02-05"]


@pytest.mark.parametrize("last", [None, BACKFILLED])
def test_a_new_workload_begins_with_its_latest_slice_and_a_backfill_is_nothing_to_go_on_from(
    due: Callable[..., Iterator[str]], last: DagRunInfo | None
) -> None:
    assert list(due(DAILY, "2024-02-06T12:00", last)) == ["2024-02-05"]
    assert list(due(DAILY.replace("}", ", end: 2024-01-03}"), "2024-02-06T12:00", last)) == []


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        ("2024-01-04T12:00", []),
        ("2024-01-08T06:00", []),
        ("2024-01-08T06:30", ["2024-01-01"]),
        ("2024-01-16T06:00", ["2024-01-08"]),
    ],
)
def test_a_slice_is_due_when_it_has_ended_and_none_before_the_first(
    due: Callable[..., Iterator[str]], now: str, keys: list[str]
) -> None:
    assert list(due(WEEKLY, now)) == keys


def test_the_last_slice_is_due_too(due: Callable[..., Iterator[str]]) -> None:
    ending = DAILY.replace("}", ", end: 2024-01-03}")
    assert list(due(ending, "2024-02-06T12:00", SCHEDULED)) == ["2024-01-02", "2024-01-03"]
