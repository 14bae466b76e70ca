"""Where days begin in a time zone, and what its clocks show: by the rules of `tzdata`, so the same on every machine.

Moments are microseconds since 1970 in UTC, what clocks show likewise as if it were UTC, days are counted from 1970.
"""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

import tzdata

from muster.printable import cell

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
A_DAY = 86_400_000_000
_A_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // _MICROSECOND
"""Between these, a zone's clocks show years that Python knows; before and after they are as far ahead as there."""


class Stretch(NamedTuple):
    """A time in which a zone's clocks are ahead of UTC by one amount."""

    since: int
    ahead: int


def parse_zone(name: object) -> object:
    """Return the name of a zone; None for UTC, which times are in anyway.

    Raises:
        ValueError: when there is no such zone.
    """
    if not isinstance(name, str) or name in _names():
        return None if name == "UTC" else name
    known = {one.casefold(): one for one in _names()}  # near is no abbreviation: 'EST' is far from 'CEST'
    near = difflib.get_close_matches(name.casefold(), [one for one in known if "/" in one], n=1)
    hint = f"did you mean '{known[near[0]]}'?" if near else "write one as 'Europe/Berlin', or leave it out for UTC"
    raise ValueError(f"'{cell(name)}' is no time zone; {hint}")


def day_range(zone: str | None, first: date, last: date) -> tuple[int, int]:
    """Return the moment at which a day begins, and that at which another has ended; in UTC without a zone."""
    since, until = ((day - EPOCH.date()).days for day in (first, last))
    if zone is None:
        return since * A_DAY, (until + 1) * A_DAY
    return begins(zone, since), begins(zone, until + 1)


def today(zone: str | None) -> date:
    """Return the day that it is now."""
    now = datetime.now(UTC)
    return now.date() if zone is None else now.astimezone(_rules(zone)).date()


def local_time(zone: str | None, moment: datetime) -> datetime:
    """Return what the zone's clocks show at a moment; those of UTC without a zone."""
    return moment.astimezone(UTC if zone is None else _rules(zone))


def moment_on(zone: str | None, day: date, minutes: int) -> datetime:
    """Return the first moment at which the clocks show so many minutes after a day's midnight.

    Where they skip that, it is the moment at which they do.
    """
    number = (day - EPOCH.date()).days
    shown = number * A_DAY + minutes * 60 * _A_SECOND
    moment = shown if zone is None else moment_of(zone, shown)
    if moment is None:
        moment = stretches(str(zone), number)[-1].since
    return EPOCH + timedelta(microseconds=moment)


@lru_cache(maxsize=100_000)
def begins(zone: str, day: int) -> int:
    """Return the moment at which a day begins: its first midnight; where the clocks skip that, what they skip it at."""
    moment = moment_of(zone, day * A_DAY)
    return stretches(zone, day)[-1].since if moment is None else moment


def moment_of(zone: str, shown: int) -> int | None:
    """Return the first moment at which the clocks show this; None where they skip it."""
    first, *later = stretches(zone, shown // A_DAY)
    if not later or shown - first.ahead < later[0].since:
        return shown - first.ahead
    moment = shown - later[0].ahead
    return moment if moment >= later[0].since else None


@lru_cache(maxsize=100_000)
def stretches(zone: str, day: int) -> tuple[Stretch, ...]:
    """Return what the time consists of in which clocks may show `day`, and what is around it: one stretch or two.

    Of all clocks that there are, none was ever changed twice within six days, and these are three.
    """
    before, after = (day - 1) * A_DAY, (day + 2) * A_DAY
    first, then = Stretch(before, _ahead(zone, before)), _ahead(zone, after)
    if first.ahead == then:
        return (first,)
    while after - before > _A_SECOND:  # at a whole second
        between = (before + after) // 2 // _A_SECOND * _A_SECOND
        before, after = (before, between) if _ahead(zone, between) == then else (between, after)
    return first, Stretch(after, then)


def _ahead(zone: str, moment: int) -> int:
    at = EPOCH + timedelta(microseconds=min(max(moment, _FIRST), _LAST))
    offset = at.astimezone(_rules(zone)).utcoffset()
    return (offset or timedelta()) // _MICROSECOND


@cache
def _names() -> frozenset[str]:
    return frozenset((files(tzdata) / "zones").read_text(encoding="utf-8").split())


@cache
def _rules(zone: str) -> ZoneInfo:
    with files(tzdata).joinpath("zoneinfo", *zone.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=zone)
