"""The pace of a class: cut once a wave, crept up, closed for as long as the server says, in whatever words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from muster.mlflow.budget.pace import MAX_CLOSED, MIN_SHARE, Pace, rate, retry_after
from muster.settings.limits import Waiting

WAITING = Waiting(first_pause=1, longest_pause=8, recovery=100)
NOW = 1_700_000_000.0


def test_a_throttled_call_halves_the_rate_and_time_brings_it_back() -> None:
    cut = Pace().throttled(sent=NOW, now=NOW, requested=None, waiting=WAITING)
    shares = [cut.share(NOW + seconds, WAITING.recovery) for seconds in (0, 25, 50, 1000)]
    assert shares == [0.5, 0.75, 1.0, 1.0]


def test_calls_that_were_on_their_way_do_not_cut_again() -> None:
    cut = Pace().throttled(sent=NOW, now=NOW, requested=None, waiting=WAITING)
    again = cut.throttled(sent=NOW - 0.1, now=NOW + 0.1, requested=60, waiting=WAITING)
    assert (again.factor, again.throttles) == (cut.factor, cut.throttles)
    assert again.closed_until == NOW + 60.1  # but what the server asks for holds


def test_pauses_double_up_to_the_longest_and_differ_between_processes() -> None:
    pauses: list[list[float]] = []
    for _ in range(20):
        pace, at, mine = Pace(), NOW, []
        for _ in range(5):
            pace = pace.throttled(sent=at, now=at, requested=None, waiting=WAITING)
            mine.append(pace.closed_until - at)
            at += 1000
        pauses.append(mine)
    for expected, column in zip((1, 2, 4, 8, 8), zip(*pauses, strict=True), strict=True):
        assert all(expected / 2 <= pause <= expected for pause in column)
        assert len(set(column)) > 1


def test_the_rate_is_never_cut_to_nothing() -> None:
    pace = Pace()
    for number in range(100):
        pace = pace.throttled(sent=NOW + number, now=NOW + number, requested=None, waiting=WAITING)
    assert pace.factor >= MIN_SHARE


def test_a_shorter_closure_does_not_open_earlier() -> None:
    assert Pace().closed(NOW, 60, "throttled").closed(NOW + 1, 5, "put off").closed_until == NOW + 60


def test_a_closure_that_only_a_clock_set_back_explains_is_open() -> None:
    assert not Pace(closed_until=NOW + MAX_CLOSED + 1).is_closed(NOW)
    assert Pace(closed_until=NOW + 1).is_closed(NOW)


@pytest.mark.parametrize(("calls", "limit", "interval"), [(7, 7, 1000), (3.5, 3, 1000), (0.5, 1, 2000), (1, 1, 1000)])
def test_no_second_gets_more_than_the_figure(calls: float, limit: int, interval: int) -> None:
    assert (rate(calls).limit, rate(calls).interval) == (limit, interval)


def test_retry_after_is_seconds_or_a_date_on_the_servers_own_clock() -> None:
    theirs = datetime(2030, 1, 1, tzinfo=UTC)
    date, later = format_datetime(theirs, usegmt=True), format_datetime(theirs + timedelta(seconds=90), usegmt=True)
    assert retry_after("7", None, NOW) == 7
    assert retry_after(later, date, NOW) == 90
    assert retry_after(later, None, theirs.timestamp() + 30) == 60
    assert retry_after(date, later, NOW) == 0


@pytest.mark.parametrize("header", [None, "", "soon", "-", "nan", "inf", "12 s", "Mon, 99 Foo 2030 25:61:61 GMT"])
def test_a_retry_after_that_says_nothing_asks_for_nothing(header: str | None) -> None:
    assert retry_after(header, "garbage", NOW) is None
