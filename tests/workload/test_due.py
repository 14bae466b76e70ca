"""When a partition is due, and the moment of a deadline on that day: also where clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from muster.workload.deadlines import ByTime
from muster.workload.due import deadline_at, due_at, last_due, last_past
from muster.workload.spec import Workload
from tests.features.test_slices import DECLARED

NIGHT = ByTime(0, 150)
"""02:30."""


def workload(zone: str | None = None, **schedule: object) -> Workload:
    time = {"column": "at", "zone": zone} if zone else "at"
    return Workload.model_validate({**DECLARED, "time": time, "schedule": {"start": date(2024, 1, 1), **schedule}})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "cron", "due"),
    [
        (None, "30 6 * * 1", "2024-01-08T06:30"),
        ("Europe/Berlin", "30 6 * * 1", "2024-01-08T06:30"),
        (None, None, "2024-01-08T00:00"),
        ("Europe/Berlin", None, "2024-01-07T23:00"),
        ("America/New_York", None, "2024-01-08T05:00"),
    ],
)
def test_a_partition_is_due_by_its_cron_in_utc_else_when_its_last_day_ends_where_its_days_are_of(
    zone: str | None, cron: str | None, due: str
) -> None:
    assert due_at(workload(zone, cron=cron), date(2024, 1, 1)) == utc(due)


@pytest.mark.parametrize(
    ("zone", "partition", "by", "at"),
    [
        (None, "2024-01-01", ByTime(0, 360), "2024-01-08T06:00"),
        (None, "2024-01-01", ByTime(2, 360), "2024-01-10T06:00"),
        ("Europe/Berlin", "2024-01-01", ByTime(0, 360), "2024-01-08T05:00"),
        ("Europe/Berlin", "2024-07-01", ByTime(0, 360), "2024-07-08T04:00"),
        ("Pacific/Auckland", "2024-01-01", ByTime(0, 360), "2024-01-07T17:00"),
    ],
)
def test_a_deadline_is_a_time_of_the_zones_clocks_on_the_day_on_which_the_partition_is_due(
    zone: str | None, partition: str, by: ByTime, at: str
) -> None:
    assert deadline_at(workload(zone), date.fromisoformat(partition), by) == utc(at)


@pytest.mark.parametrize(
    ("start", "partition", "at"),
    [
        ("2024-03-24", "2024-03-24", "2024-03-31T01:00"),  # 02:30 is skipped: the moment at which it is
        ("2024-10-20", "2024-10-20", "2024-10-27T00:30"),  # 02:30 comes twice: the first time
    ],
)
def test_a_deadline_that_clocks_skip_or_show_twice_is_one_moment(start: str, partition: str, at: str) -> None:
    declared = workload("Europe/Berlin", start=date.fromisoformat(start))
    assert deadline_at(declared, date.fromisoformat(partition), NIGHT) == utc(at)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2024-01-08T06:29", None),
        ("2024-01-08T06:30", "2024-01-01"),
        ("2024-01-15T06:29", "2024-01-01"),
        ("2024-01-15T06:30", "2024-01-08"),
        ("2030-01-01T00:00", "2024-01-15"),
    ],
)
def test_the_newest_due_partition_is_that_of_the_last_tick_and_none_is_after_the_end(
    now: str, newest: str | None
) -> None:
    declared = workload(cron="30 6 * * 1", end=date(2024, 1, 17))
    assert last_due(declared, utc(now)) == (newest and date.fromisoformat(newest))


def test_a_deadline_days_later_is_asked_of_the_partition_whose_own_has_come() -> None:
    declared = workload(every=1)
    assert last_past(declared, utc("2024-01-05T05:59"), ByTime(2, 360)) == date(2024, 1, 1)
    assert last_past(declared, utc("2024-01-05T06:00"), ByTime(2, 360)) == date(2024, 1, 2)
    assert last_past(declared, utc("2024-01-04T05:59"), ByTime(2, 360)) is None
