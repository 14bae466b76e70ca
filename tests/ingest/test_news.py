"""What is new in a source: told by tables and source alone, whatever kind it is of."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from muster.ingest.news import News, changed_before, news
from muster.settings.connections import variable
from tests.ingest.arriving import FIRST, OF_KIND, Arriving, week

WEEK = timedelta(days=7)
SECOND, THIRD = FIRST + WEEK, FIRST + 2 * WEEK


@pytest.fixture
def files(tmp_path: Path) -> Arriving:
    return Arriving(tmp_path)


@pytest.fixture(params=OF_KIND)
def arriving(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arriving:
    """The workload with each kind of source."""
    arriving = Arriving(tmp_path, request.param)
    monkeypatch.setenv(variable("rides_db"), f"sqlite:///{arriving.database}")
    return arriving


def told(arriving: Arriving, now: datetime | None = None) -> list[tuple[str, str, list[str]]]:
    return [(one.partition, one.cause, [str(day) for day in one.days]) for one in news(arriving.context, now)]


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_a_partition_is_new_once_all_its_days_are_there_and_until_an_ingest_has_brought_it(arriving: Arriving) -> None:
    arriving.deliver(*week(FIRST)[:6])
    assert told(arriving) == []
    arriving.deliver(week(FIRST)[6])
    assert told(arriving) == [(str(FIRST), "arrival", [])]
    arriving.ingest(FIRST)
    assert told(arriving) == []


def test_a_day_that_is_another_delivery_now_is_a_correction_until_it_is_ingested_again(arriving: Arriving) -> None:
    arriving.deliver(*week(FIRST))
    arriving.ingest(FIRST)
    arriving.deliver(week(FIRST)[2], rows=3)
    (found,) = news(arriving.context)
    assert (found.partition, found.cause, found.days) == (str(FIRST), "correction", (week(FIRST)[2],))
    arriving.deliver(week(FIRST)[2], rows=4)
    (again,) = news(arriving.context)
    assert again.state != found.state
    arriving.ingest(FIRST)
    assert told(arriving) == []


def test_a_new_workload_begins_with_its_latest_whole_partition_and_then_takes_every_one(files: Arriving) -> None:
    files.deliver(*week(FIRST), *week(SECOND), *week(THIRD)[:3])
    assert told(files) == [(str(SECOND), "arrival", [])]
    files.ingest(SECOND)
    files.deliver(*week(THIRD)[3:], *week(THIRD + WEEK))
    assert told(files) == [(str(THIRD), "arrival", []), (str(THIRD + WEEK), "arrival", [])]


def test_without_catching_up_only_the_latest_is_new(tmp_path: Path) -> None:
    files = Arriving(tmp_path, more={"schedule": {"start": "2024-01-01", "catchup": False}})
    files.deliver(*week(FIRST))
    files.ingest(FIRST)
    files.deliver(*week(SECOND), *week(THIRD))
    assert told(files) == [(str(THIRD), "arrival", [])]


def test_one_between_that_comes_late_is_new_while_a_stage_needs_it(files: Arriving) -> None:
    last = FIRST + 5 * WEEK
    files.deliver(*week(FIRST), *week(last))
    files.ingest(FIRST)
    files.ingest(last)
    files.deliver(*week(SECOND), *week(last - WEEK))
    assert told(files) == [(str(last - WEEK), "arrival", [])]


def test_a_slice_that_has_not_ended_is_not_new_though_its_days_are_there(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    assert told(files, noon(FIRST + timedelta(days=6))) == []
    assert told(files, noon(SECOND)) == [(str(FIRST), "arrival", [])]


def test_a_slice_ends_when_its_days_end_in_the_workloads_zone(tmp_path: Path) -> None:
    files = Arriving(tmp_path, more={"time": {"column": "at", "zone": "America/New_York"}})
    files.deliver(*week(FIRST))
    midnight = datetime(SECOND.year, SECOND.month, SECOND.day, tzinfo=UTC)
    assert told(files, midnight + timedelta(hours=4)) == []
    assert told(files, midnight + timedelta(hours=5)) == [(str(FIRST), "arrival", [])]


def test_a_day_that_was_left_out_of_a_partition_is_a_correction_of_it_when_it_comes(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    files.ingest(FIRST)
    late = week(SECOND)[3]
    files.deliver(*set(week(SECOND)) - {late})
    files.ingest(SECOND, without=[late])
    files.deliver(late)
    assert told(files) == [(str(SECOND), "correction", [str(late)])]


def test_corrections_are_told_by_partition_in_order_and_a_day_before_the_first_by_the_first(files: Arriving) -> None:
    before = FIRST - timedelta(days=3)
    files.deliver(before, *week(FIRST), *week(SECOND))
    files.ingest(FIRST)
    files.ingest(SECOND)
    files.deliver(week(SECOND)[0], week(FIRST)[5], before, rows=2)
    assert told(files) == [
        (str(FIRST), "correction", [str(before), str(week(FIRST)[5])]),
        (str(SECOND), "correction", [str(week(SECOND)[0])]),
    ]


def test_a_day_before_the_first_partition_that_no_ingest_has_seen_is_no_correction(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    files.ingest(FIRST)
    files.deliver(FIRST - timedelta(days=3))
    assert told(files) == []


def test_what_changed_before_the_newest_windows_is_told_and_no_news(files: Arriving) -> None:
    last = FIRST + 5 * WEEK
    files.deliver(*week(FIRST), *week(last))
    files.ingest(FIRST)
    files.ingest(last)
    files.deliver(FIRST, rows=2)
    assert told(files) == []
    assert changed_before(files.context) == [FIRST]


def test_by_the_cron_the_latest_partition_is_due_though_a_day_is_missing(tmp_path: Path) -> None:
    files = Arriving(tmp_path, more={"schedule": {"start": "2024-01-01", "cron": "30 6 * * 1"}})
    files.deliver(*week(FIRST), *week(SECOND)[1:])
    files.ingest(FIRST)
    at = datetime(THIRD.year, THIRD.month, THIRD.day, 6, 30, tzinfo=UTC)
    assert told(files, at - timedelta(minutes=1)) == []
    assert told(files, at) == [(str(SECOND), "due", [str(SECOND)])]
    files.deliver(SECOND)
    assert told(files, at) == [(str(SECOND), "arrival", [])]


@pytest.mark.parametrize("name", [".{}.csv.gz", "{}.csv.gz.tmp", "_{}.csv.gz", "{}.csv"])
def test_a_file_that_is_being_written_under_another_name_is_no_day(files: Arriving, name: str) -> None:
    files.deliver(*week(FIRST))
    day = files.path(week(FIRST)[3])
    day.rename(day.with_name(name.format(week(FIRST)[3])))
    assert told(files) == []


def test_a_file_that_grows_is_other_news_at_each_look(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    path, states = files.path(FIRST), set()
    for _ in range(3):
        with path.open("ab") as file:
            file.write(b"more")
        states.add(news(files.context)[0].state)
    assert len(states) == 3


def test_a_file_that_is_touched_is_another_delivery(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    before: News = news(files.context)[0]
    os.utime(files.path(FIRST), ns=(1, 1))
    assert news(files.context)[0].state != before.state


def test_results_of_another_schedule_are_no_partitions(files: Arriving) -> None:
    files.ended(FIRST + timedelta(days=1))
    files.deliver(*week(FIRST))
    assert told(files) == [(str(FIRST), "arrival", [])]


def test_more_days_than_are_asked_one_by_one_are_looked_for_among_those_that_are_there(files: Arriving) -> None:
    files.deliver(*week(FIRST))
    files.ingest(FIRST)
    later = FIRST + 80 * WEEK
    files.deliver(*week(later))
    assert told(files, noon(later + WEEK)) == [(str(later), "arrival", [])]
