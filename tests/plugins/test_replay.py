"""The task of the DAG `replay`: what waits for a stage is shown and posted, with its keys; nothing else is."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset

from muster.settings import settings
from muster_airflow.exceptions import WrongPartition
from muster_airflow.operators.replay import CannotReplay, NothingPosted, ReplayOperator
from tests.ingest.arriving import FIRST, Arriving
from tests.plugins.airflow_task import WORKLOAD, Task, context_of
from tests.plugins.watched import Outlet

SECOND, THIRD = FIRST + timedelta(days=7), FIRST + timedelta(days=14)
FEATURES = Asset(name="made.features", uri="muster://made/features", group="muster")


@pytest.fixture
def store(home: Path) -> Arriving:
    return Arriving(Path(settings().store_root))


def ended(store: Arriving, stage: str, at: int, *partitions: date, attempt: str = "made") -> None:
    for partition in partitions:
        path = f"{store.store.results(stage)}/{partition}-{attempt}.json"
        store.store.files.put(path, b"{}")
        os.utime(store.store.uri(path), (at, at))


def replay(workload: Path, paused: bool = False, stage: str = "train", **asked: str) -> tuple[list[str], Any, Any]:
    """Return the keys that are posted, the extra of their events, and the assets that the task declares in the end."""
    task = ReplayOperator(task_id="post", workload=str(workload), stage=stage, **{"dry_run": "false", **asked})
    outlets = {FEATURES: Outlet()}
    name = f"made.{stage}"
    ti = Task(runs={name: 0}, paused=(name,) if paused else ())
    context: Any = context_of(None, ti=ti, outlet_events=outlets)
    task.execute(context)
    return list(outlets[FEATURES].partition_keys), outlets[FEATURES].extra, task.outlets


def test_what_has_ended_the_stage_before_and_not_this_one_since_is_posted_in_order(
    store: Arriving, workload: Path
) -> None:
    ended(store, "features", 100, THIRD, SECOND, FIRST)
    ended(store, "train", 200, FIRST)
    ended(store, "train", 50, SECOND)
    keys, extra, outlets = replay(workload, why="was paused", who="ann")
    assert keys == [str(SECOND), str(THIRD)]
    assert extra == {"replayed_by": "ann", "why": "was paused", "backfill": False}
    assert outlets == [FEATURES]


def test_a_dry_run_and_one_for_which_nothing_waits_post_nothing(store: Arriving, workload: Path) -> None:
    with pytest.raises(NothingPosted, match=r"nothing waits for made\.train"):
        replay(workload)
    ended(store, "features", 100, FIRST)
    with pytest.raises(NothingPosted, match="dry run"):
        replay(workload, dry_run="true")


def test_named_partitions_and_a_range_are_posted_though_they_do_not_wait(store: Arriving, workload: Path) -> None:
    ended(store, "features", 100, FIRST, SECOND, THIRD)
    ended(store, "train", 200, FIRST, SECOND, THIRD)
    assert replay(workload, partitions=f'["{SECOND}", "{FIRST}"]')[0] == [str(FIRST), str(SECOND)]
    assert replay(workload, first=str(SECOND), last=str(THIRD))[0] == [str(SECOND), str(THIRD)]


def test_what_the_stage_before_has_not_ended_is_refused(store: Arriving, workload: Path) -> None:
    ended(store, "features", 100, FIRST)
    with pytest.raises(CannotReplay, match=f"features has not ended {SECOND}; run that first"):
        replay(workload, partitions=f'["{FIRST}", "{SECOND}"]')


@pytest.mark.parametrize("key", ["2024-2-5", "20240205", "2024-02-06"])
def test_a_strange_key_is_refused_by_name(store: Arriving, workload: Path, key: str) -> None:
    with pytest.raises(WrongPartition, match=f"'{key}' is no partition of made"):
        replay(workload, partitions=f'["{key}"]')


def test_while_the_stage_is_paused_nothing_is_posted(store: Arriving, workload: Path) -> None:
    ended(store, "features", 100, FIRST)
    with pytest.raises(CannotReplay, match=r"'made.train' is paused.*unpause it"):
        replay(workload, paused=True)


def test_what_a_backfill_has_brought_stays_so_and_is_not_mixed_with_others(store: Arriving, workload: Path) -> None:
    ended(store, "features", 100, FIRST, SECOND)
    ended(store, "ingest", 90, FIRST, attempt="backfill__1")
    with pytest.raises(CannotReplay, match=f"{FIRST} come from a backfill"):
        replay(workload)
    assert replay(workload, partitions=f'["{FIRST}"]')[1]["backfill"] is True


def test_ingest_has_events_only_where_arrivals_are_declared(store: Arriving, workload: Path) -> None:
    with pytest.raises(CannotReplay, match=r"no event starts 'made\.ingest'"):
        replay(workload, stage="ingest", partitions=f'["{FIRST}"]')
    workload.write_text(WORKLOAD + "arrivals: {}\n", encoding="utf-8")
    with pytest.raises(KeyError, match=r"made\.arrived"):  # the asset that is meant; this context has another alone
        replay(workload, stage="ingest", partitions=f'["{FIRST}"]')
