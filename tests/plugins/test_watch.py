"""The task `watch`: what has arrived or was corrected is announced once, in order, whatever is killed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from muster.ingest import news as library
from muster.ingest.news import news
from muster.settings import settings
from muster_airflow.exceptions import SourceRefused
from tests.ingest.arriving import FIRST, Arriving, week
from tests.plugins.airflow_task import WORKLOAD
from tests.plugins.watched import Watched

WEEK = timedelta(days=7)
SECOND = FIRST + WEEK


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.fixture
def arriving(home: Path) -> Arriving:
    return Arriving(Path(settings().store_root))


@pytest.fixture
def watched(workload: Path) -> Watched:
    workload.write_text(WORKLOAD + "arrivals: {}\n", encoding="utf-8")
    return Watched(workload)


def ingest(arriving: Arriving, watched: Watched) -> None:
    """Run what is queued, oldest first."""
    while watched.queued:
        arriving.ingest(date.fromisoformat(watched.queued[0]))
        watched.queued.pop(0)


def test_a_partition_that_has_arrived_is_announced_once(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    assert watched.watch() == [str(FIRST)]
    assert watched.watch() == []
    ingest(arriving, watched)
    assert watched.watch() == []


def test_one_whose_run_has_failed_is_not_announced_again_unless_its_data_are_others(
    arriving: Arriving, watched: Watched
) -> None:
    arriving.deliver(*week(FIRST))
    watched.watch()
    watched.queued.clear()
    assert watched.watch() == []
    arriving.deliver(FIRST, rows=2)
    assert watched.watch() == [str(FIRST)]


def test_a_correction_is_announced_with_its_days_each_time(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    watched.watch()
    ingest(arriving, watched)
    for rows in (2, 3):
        arriving.deliver(FIRST, rows=rows)
        assert watched.watch() == [str(FIRST)]
        told = watched.events[-1].extra["news"][str(FIRST)]
        assert (told["cause"], told["days"], told["count"]) == ("correction", [str(FIRST)], 1)
        time.sleep(0.01)  # the result is younger than the event, as those of real jobs are
        ingest(arriving, watched)
    assert watched.watch() == []


def test_what_was_corrected_back_to_a_delivery_of_before_is_announced(arriving: Arriving, watched: Watched) -> None:
    """By state and not by what was said last it would pass for announced."""
    arriving.deliver(*week(FIRST))
    path = arriving.path(FIRST)
    first = path.read_bytes(), path.stat().st_mtime_ns
    watched.watch()
    time.sleep(0.01)
    ingest(arriving, watched)
    for again in (False, True, False, True):
        if again:
            path.write_bytes(first[0])
            os.utime(path, ns=(first[1], first[1]))
        else:
            arriving.deliver(FIRST, rows=2)
        assert watched.watch() == [str(FIRST)]
        time.sleep(0.01)
        ingest(arriving, watched)


def test_partitions_are_announced_in_order_of_time(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    watched.watch()
    ingest(arriving, watched)
    later = [FIRST + number * WEEK for number in range(1, 9)]
    arriving.deliver(*(day for partition in reversed(later) for day in week(partition)))
    assert watched.watch() == [str(partition) for partition in later]


def test_what_changes_between_the_looks_waits(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    watched.between = lambda: arriving.deliver(FIRST, rows=2)
    assert watched.watch() == []
    watched.between = lambda: None
    assert watched.watch() == [str(FIRST)]


def test_a_partition_that_is_to_run_anyhow_is_not_started_twice(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    watched.watch()
    arriving.deliver(FIRST, rows=2)
    assert watched.watch() == []
    ingest(arriving, watched)
    assert watched.watch() == []


def test_while_ingest_is_paused_nothing_is_announced_so_nothing_is_lost(arriving: Arriving, watched: Watched) -> None:
    arriving.deliver(*week(FIRST))
    watched.paused = True
    assert watched.watch() == []
    watched.paused = False
    assert watched.watch() == [str(FIRST)]


@pytest.mark.parametrize("retry", [False, True])
def test_what_was_written_down_and_not_posted_is_announced(
    arriving: Arriving, watched: Watched, monkeypatch: pytest.MonkeyPatch, retry: bool
) -> None:
    """By the same run, tried again; or by the next, where that one failed."""
    arriving.deliver(*week(FIRST))
    with monkeypatch.context() as patch:
        patch.setattr(watched, "_committed", _raises(Killed()))
        with pytest.raises(Killed):
            watched.watch()
    assert watched.watch(retry) == [str(FIRST)]
    watched.queued.clear()
    assert watched.watch() == []


def test_a_source_that_cannot_be_asked_fails_it_and_nothing_is_lost(
    arriving: Arriving, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving.deliver(*week(FIRST))
    with monkeypatch.context() as patch:
        patch.setattr(library, "complete_arrivals", _raises(OSError("no answer")))
        with pytest.raises(OSError, match="no answer"):
            watched.watch()
    table = watched.file.read_text() + "source: {table: raw/none}\n"
    before = watched.file.read_text()
    watched.file.write_text(table, encoding="utf-8")
    Path(settings().store_root, "raw", "none").mkdir(parents=True)
    with pytest.raises(SourceRefused, match="is no Delta table") as refused:
        watched.watch()
    assert isinstance(refused.value, AirflowFailException)
    watched.file.write_text(before, encoding="utf-8")
    assert watched.watch() == [str(FIRST)]


def _raises(error: BaseException) -> Any:
    def raises(*_: Any, **__: Any) -> Any:
        raise error

    return raises


def points(seed: int) -> Iterator[bool]:
    """Yield at each point whether all is killed there."""
    chance = random.Random(seed)
    while True:
        yield chance.random() < 0.15


@pytest.mark.parametrize("seed", range(12))
def test_killed_anywhere_nothing_is_lost_and_nothing_is_said_twice(
    arriving: Arriving, watched: Watched, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The state is real, in a real folder; whatever reads or writes it may be the last that a process does."""
    kills, chance = points(seed), random.Random(seed)

    def mortal(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(kills):
                raise Killed
            result = function(*arguments, **named)
            if next(kills):
                raise Killed
            return result

        return call

    from muster_airflow import announced as task
    from tests.ingest import arriving as jobs

    whole, partitions = Watched.watch, [FIRST + number * WEEK for number in range(3)]
    with monkeypatch.context() as patch:
        for module, name in [(library, "complete_arrivals"), (library, "stage_results"), (task, "stage_results")]:
            patch.setattr(module, name, mortal(getattr(module, name)))
        for name in ("replace_rows", "write_facts"):
            patch.setattr(jobs, name, mortal(getattr(jobs, name)))
        patch.setattr(Watched, "_committed", mortal(Watched._committed))
        patch.setattr(task.Announced, "write", mortal(task.Announced.write))
        for _ in range(25):
            partition = chance.choice(partitions)
            try:
                step = chance.choice(["deliver", "correct", "watch", "ingest", "watch"])
                if step == "deliver":
                    arriving.deliver(*week(partition))
                elif step == "correct":
                    arriving.deliver(chance.choice(week(partition)), rows=chance.randint(2, 9))
                elif step == "watch":
                    whole(watched, retry=chance.random() < 0.3)
                else:
                    ingest(arriving, watched)  # killed, it is tried again: the run stays queued
            except Killed:
                continue
    time.sleep(0.02)
    arriving.deliver(*(day for one in partitions for day in week(one)), rows=10)
    for _ in range(4):
        ingest(arriving, watched)
        time.sleep(0.02)
        watched.watch()
    assert news(arriving.context) == []
    said = [(event.partition_key, str(event.extra["news"][event.partition_key])) for event in watched.events]
    assert len(said) == len(set(said))
    assert not watched.queued
