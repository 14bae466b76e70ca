"""Where days begin in a time zone, and which moment its clocks show: as Python's own zones say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from random import Random
from struct import iter_unpack, unpack

import pytest
import tzdata

from muster.workload.zone import EPOCH, _names, _rules, begins, day_range, moment_of, parse_zone

HOUR = timedelta(hours=1)


def day_of(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH.date()).days


def shown(time: datetime) -> int:
    return (time.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "day", "since", "hours"),
    [
        ("Europe/Berlin", "2024-01-15", "2024-01-14T23:00:00", 24),
        ("Europe/Berlin", "2024-03-31", "2024-03-30T23:00:00", 23),
        ("Europe/Berlin", "2024-10-27", "2024-10-26T22:00:00", 25),
        ("Asia/Kathmandu", "1986-01-01", "1985-12-31T18:30:00", 23.75),
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00:00", 24.5),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00", 23),  # there is no midnight
        ("Atlantic/Azores", "2024-10-27", "2024-10-27T00:00:00", 25),  # there are two
        ("America/St_Johns", "2006-10-29", "2006-10-29T02:30:00", 25),  # a minute after midnight back before it
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00", 0),  # was left out
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00", 24),
        ("Europe/Berlin", "1890-01-01", "1889-12-31T23:06:32", 24),  # by the sun
        ("America/New_York", "0001-01-01", "0001-01-01T04:56:02", 24),
        ("Europe/Berlin", "9999-12-31", "9999-12-30T23:00:00", 24),
    ],
)
def test_a_day_begins_at_its_first_midnight_or_when_that_is_skipped(
    zone: str, day: str, since: str, hours: float
) -> None:
    first, after = begins(zone, day_of(day)), begins(zone, day_of(day) + 1)
    assert (first, after - first) == (shown(datetime.fromisoformat(since)), hours * HOUR // timedelta(microseconds=1))
    assert day_range(zone, date.fromisoformat(day), date.fromisoformat(day)) == (first, after)


def test_years_beyond_pythons_have_days_too() -> None:
    for day in (date.min, date.max):
        for zone in ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati"):
            number = (day - EPOCH.date()).days
            assert all(begins(zone, near) < begins(zone, near + 1) for near in (number - 9, number - 1, number))
    assert day_range(None, date(1970, 1, 2), date(1970, 1, 2)) == (86_400_000_000, 2 * 86_400_000_000)


def test_a_moment_is_the_first_at_which_the_clocks_show_a_time_as_python_has_it() -> None:
    random, zones = Random(0), sorted(_names())
    for _ in range(4_000):
        name = random.choice(zones)
        zone = _rules(name)
        time = datetime(random.randint(1850, 2040), 1, 1) + timedelta(seconds=random.randrange(365 * 86_400))
        moment = time.replace(tzinfo=zone).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=None) == time
        assert moment_of(name, shown(time)) == (shown(moment) if exists else None), (name, time)


def test_no_clocks_are_changed_twice_within_the_three_days_that_are_looked_at_for_one() -> None:
    shortest = 10**9
    for name in _names():
        content = files(tzdata).joinpath("zoneinfo", *name.split("/")).read_bytes()
        isut, isstd, leap, times, types, characters = unpack(">6l", content[20:44])
        second = 44 + times * 5 + types * 6 + characters + leap * 8 + isstd + isut
        *_, times, _, _ = unpack(">6l", content[second + 20 : second + 44])
        changes = [at for (at,) in iter_unpack(">q", content[second + 44 : second + 44 + 8 * times])]
        shortest = min([shortest, *(after - before for before, after in pairwise(changes))])
    assert shortest > 3 * 86_400


def test_the_clock_of_utc_is_none_of_its_own() -> None:
    assert [parse_zone(name) for name in ("UTC", None, "Etc/GMT+5")] == [None, None, "Etc/GMT+5"]
