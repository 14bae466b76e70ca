"""Groups without a new row: stale by the days since their newest observation, up to the slice's end."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from muster.freshness.stale import stale_groups
from tests.freshness.made_weeks import START, context_of, ingested, weeks_before

END = START + timedelta(days=7)


def test_a_group_is_stale_when_its_newest_observation_is_older_than_declared(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 10})
    days: dict[date, tuple[str, ...]] = {day: ("fresh", "late", "gone") for day in weeks_before()[:14]}
    days |= {END - timedelta(days=11): ("fresh", "late"), END - timedelta(days=10): ("fresh", "in_time")}
    days |= {END: ("late",)}  # of another slice: what came later is not known yet
    ingested(context, days)
    assert stale_groups(context) == {"late": END - timedelta(days=11), "gone": weeks_before()[13]}


def test_what_was_never_seen_in_the_windows_is_none_of_the_run(tmp_path: Path) -> None:
    context = context_of(tmp_path, freshness={"stale_after": 10})
    ingested(context, {context.windows.run.start - timedelta(days=1): ("long ago",), START: ("fresh",)})
    assert stale_groups(context) == {}


def test_nothing_is_stale_where_nothing_is_declared_or_ingested(tmp_path: Path) -> None:
    assert stale_groups(context_of(tmp_path, freshness={"stale_after": 10})) == {}
    context = context_of(tmp_path, freshness={})
    ingested(context, {day: ("late",) for day in weeks_before()[:7]})
    assert stale_groups(context) == {}
