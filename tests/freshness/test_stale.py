"""Groups without a new row: stale by the days that have come since their newest observation, up to the partition."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from muster.freshness.stale import stale_groups
from tests.freshness.made_weeks import START, context_of, ingested, weeks_before

EVERY = ("fresh",)
"""Of each day there is a row of it."""


def days_with(**groups: int) -> dict[date, tuple[str, ...]]:
    """Return the four weeks before the partition: each group has rows up to so many days before it."""
    return {
        day: (*EVERY, *(name for name, last in groups.items() if day <= START - timedelta(days=last)))
        for day in weeks_before()
    }


def test_a_group_is_stale_when_it_has_no_row_on_as_many_days_as_declared(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 10})
    ingested(context, days_with(in_time=10, late=11, gone=20))
    assert stale_groups(context) == {"late": START - timedelta(days=11), "gone": START - timedelta(days=20)}


def test_days_that_never_came_make_no_group_stale(tmp_path: Path) -> None:
    """As `late: go_on` leaves them out: every group's last row is on the last day that came."""
    context = context_of(tmp_path, freshness={"stale_after": 7, "late": "go_on"})
    came = weeks_before()[:-9]
    ingested(context, {day: ("a", "b") for day in came})
    assert stale_groups(context) == {}


def test_a_group_that_is_behind_the_days_that_came_is_stale_beside_days_that_did_not(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 7, "late": "go_on"})
    came = weeks_before()[:-9]
    ingested(context, {day: ("a", "on the seventh") if day <= came[-7] else ("a",) for day in came[8:]})
    ingested(context, {day: ("a", "b", "on the seventh") for day in came[:8]})
    assert stale_groups(context) == {"b": came[7]}


def test_days_on_which_nothing_happened_make_no_group_stale(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 7})
    ingested(context, {day: ("a", "b") if day < weeks_before()[-7] else () for day in weeks_before()})
    assert stale_groups(context) == {}


def test_the_slice_itself_is_not_asked_as_nobody_learns_from_it_yet(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 10})
    in_slice = {START + timedelta(days=number): ("fresh", "again") for number in range(7)}
    ingested(context, {**days_with(again=15, not_in_slice=1), **in_slice})
    assert stale_groups(context) == {"again": START - timedelta(days=15)}


def test_what_was_never_seen_in_the_windows_is_none_of_the_run(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 10})
    ingested(context, {context.windows.run.start - timedelta(days=1): ("long ago",), **days_with()})
    assert stale_groups(context) == {}


def test_nothing_is_stale_where_nothing_is_declared_or_ingested(tmp_path: Path) -> None:
    assert stale_groups(context_of(tmp_path, freshness={"stale_after": 10})) == {}
    context = context_of(tmp_path, freshness={})
    ingested(context, days_with(late=20))
    assert stale_groups(context) == {}
