"""Whether a partition's data are there: on files, a Delta table and SQLite; days, rows, groups, and what reads."""

from __future__ import annotations

import gzip
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from muster.context import PartitionContext
from muster.freshness import answer as answers
from muster.freshness.answer import Answer, ask, look
from muster.freshness.arrived import what_arrived
from muster.settings.connections import variable
from muster.workload.freshness import Freshness
from tests.freshness.made_weeks import PLACES, START, context_of, ingested, put, put_slice, text_of, weeks_before

KINDS = ("files", "parquet", "table", "sql")
LAST = START + timedelta(days=6)


def asked(context: PartitionContext, **limits: Any) -> Answer:
    return ask(context, Freshness(**limits), what_arrived(context))


def state(context: PartitionContext, **limits: Any) -> str:
    return look(context, Freshness(**limits)).state


def rows_of(day: date, places: tuple[str, ...] = PLACES) -> list[tuple[str, datetime, float, str]]:
    return [(p, datetime(day.year, day.month, day.day, 6 + n), 1.5, f"{p}{n}") for p in places for n in range(3)]


def arrow(days: list[date]) -> pa.Table:
    columns = list(zip(*(row for day in days for row in rows_of(day)), strict=True))
    times = pa.array(columns[1], pa.timestamp("us"))
    return pa.table({"place": columns[0], "at": times, "delay": columns[2], "ride": columns[3], "more": columns[3]})


def deliver(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, days: list[date]) -> PartitionContext:
    """Have days arrive in a source of some kind."""
    if kind == "files":
        for day in days:
            put(folder, day)
        return context_of(folder)
    if kind == "parquet":
        for day in days:
            (folder / f"date={day}").mkdir(exist_ok=True)
            pa.parquet.write_table(arrow([day]), folder / f"date={day}" / "a.parquet")
        return context_of(folder, {"files": "date={date}/*.parquet", "extra": "ignore"})
    if kind == "table":
        write_deltalake(folder / "raw" / "rides", arrow(days), mode="append")
        return context_of(folder, {"table": "raw/rides"})
    with sqlite3.connect(folder / "rides.db") as database:
        database.execute("CREATE TABLE IF NOT EXISTS rides (place, at, delay, ride)")
        values = [(place, str(at), delay, ride) for day in days for place, at, delay, ride in rows_of(day)]
        database.executemany("INSERT INTO rides VALUES (?, ?, ?, ?)", values)
    monkeypatch.setenv(variable("rides_db"), f"sqlite:///{folder / 'rides.db'}")
    sql = "SELECT * FROM rides WHERE at >= :start AND at < :end"
    return context_of(folder, {"sql": sql, "connection": "rides_db"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_says_which_days_are_there_and_then_how_many_rows_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    context = deliver(kind, tmp_path, monkeypatch, [START + timedelta(days=n) for n in range(6)])
    ingested(context, {day: PLACES for day in weeks_before()})
    late = asked(context)
    assert not late.fresh
    assert late.counted is None  # nothing was read
    assert f"for {LAST} in '" in late.problems[0]
    context = deliver(kind, tmp_path, monkeypatch, [LAST])
    whole = asked(context)
    assert (whole.fresh, whole.problems) == (True, [])
    assert whole.arrived.digest != late.arrived.digest
    told = whole.shown()
    assert (told["days"], told["groups"], told["usual_groups"]) == ("7 of 7", 4, "4 of 4")
    assert told["newest_event"] == "2024-02-11T08:00:00+00:00"
    assert told["rows"][str(LAST)] == "12 of usually 12"


def test_a_file_that_is_still_written_is_told_and_not_taken(tmp_path: Path) -> None:
    put_slice(tmp_path, but=[6])
    (tmp_path / f".{LAST}.csv.tmp").write_text(text_of(LAST)[:40])
    (tmp_path / f"{LAST}.csv.part").write_text(text_of(LAST)[:40])
    (problem,) = asked(context_of(tmp_path)).problems
    assert f"no landed file for {LAST}" in problem
    assert f"passed over, since a file is named as 2024-01-08.csv: {LAST}.csv.part" in problem


def test_a_day_without_its_mark_is_begun(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    put_slice(tmp_path / "in")
    for number in range(6):
        (tmp_path / "in" / f"{START + timedelta(days=number)}.done").touch()
    context = context_of(tmp_path, {"files": "in/{date}.csv", "complete": "{date}.done"})
    begun = asked(context)
    assert begun.arrived.missing == {LAST: f"{tmp_path}/in/{LAST}.done"}
    assert "begun, but without" in begun.problems[0]
    (tmp_path / "in" / f"{LAST}.done").touch()
    assert asked(context).fresh


def test_half_a_file_under_the_days_own_name_is_not_fresh_until_it_is_delivered_again(tmp_path: Path) -> None:
    context = context_of(tmp_path, {"files": "{date}.csv.gz"})
    whole = {day: gzip.compress(text_of(day).encode(), mtime=0) for day in context.windows.score.days()}
    for day, content in whole.items():
        (tmp_path / f"{day}.csv.gz").write_bytes(content[:-12] if day == LAST else content)
    half = asked(context)
    assert half.arrived.whole
    assert half.problems[0].startswith(f"days that cannot be taken: {LAST}: landed file")
    (tmp_path / f"{LAST}.csv.gz").write_bytes(whole[LAST])
    assert asked(context).fresh


def test_few_rows_and_groups_are_told_beside_what_is_usual(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ingested(context, {day: PLACES for day in weeks_before()}, rows=10)
    put_slice(tmp_path, but=[6])
    put(tmp_path, LAST, text_of(LAST, ("a",), rows=10))
    few = asked(context, rows=0.3)
    assert few.problems == [f"fewer rows than 30% of what is usual: {LAST} (10 of usually 40)"]
    assert asked(context, rows=0.25).fresh
    assert asked(context, rows=0).fresh
    for number in range(7):
        put(tmp_path, START + timedelta(days=number), text_of(START + timedelta(days=number), ("a", "new"), rows=20))
    groups = asked(context)
    assert groups.problems == ["1 of 4 usual groups are there, fewer than 50%; not there: b, c, d"]
    assert asked(context, groups=0.25).fresh


def test_the_usual_rows_are_those_of_the_weekday_by_their_median(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    sundays = [day for day in weeks_before() if day.weekday() == 6]
    days = {day: PLACES for day in weeks_before() if day.weekday() != 6}
    ingested(context, {**days, **{day: ("a",) for day in sundays}})
    put_slice(tmp_path, but=[6])
    put(tmp_path, LAST, text_of(LAST, ("a",)))
    assert asked(context, rows=1).fresh
    assert asked(context).shown()["rows"][str(LAST)] == "3 of usually 3"


def test_days_that_are_counted_by_no_fact_are_counted_by_the_tables_log(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ingested(context, {day: PLACES for day in weeks_before()}, rows=9, known=False)
    put_slice(tmp_path)
    assert len(asked(context).problems[0].split("usually 36")) == 6  # five are named, two are counted
    assert "and 2 more" in asked(context).problems[0]


def test_a_group_of_one_week_in_four_is_not_usual(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ingested(context, {day: (*PLACES, "rare") if day < weeks_before()[7] else PLACES for day in weeks_before()})
    put_slice(tmp_path)
    assert asked(context, groups=1).fresh
    usual = answers.usual(context)
    assert usual.groups == set(PLACES)


def test_the_first_partition_asks_for_its_days_alone(tmp_path: Path) -> None:
    put_slice(tmp_path)
    first = asked(context_of(tmp_path), rows=1, groups=1)
    assert first.fresh
    assert first.shown()["usual_groups"] == "0 of 0"


def test_a_quiet_day_holds_where_it_is_usually_quiet_and_not_elsewhere(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    put_slice(tmp_path, but=[6])
    put(tmp_path, LAST, text_of(LAST, ()))
    ingested(context, {day: PLACES if day.weekday() != 6 else () for day in weeks_before()})
    assert asked(context).fresh
    put(tmp_path, START, text_of(START, ()))
    assert f"{START} (0 of usually 12)" in asked(context).problems[0]


def test_rows_that_ingest_would_refuse_by_key_or_time_are_none(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    put_slice(tmp_path, but=[6])
    put(tmp_path, LAST, f"{text_of(LAST, ('a',))}b,yesterday,1,x\n,{LAST}T10:00:00,1,y\nc,{START}T10:00:00,1,z\n")
    counted = asked(context).counted
    assert counted is not None
    assert (counted.rows[LAST], counted.groups) == (3, set(PLACES))
    assert counted.newest == datetime(2024, 2, 11, 8, tzinfo=UTC)


def test_a_corrected_week_before_is_another_state_once_all_days_are_there(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ingested(context, {day: PLACES for day in weeks_before()})
    put_slice(tmp_path, but=[6])
    missing, partial = state(context), weeks_before()[0]
    ingested(context, {partial: PLACES}, rows=1)
    assert state(context) == missing  # nothing is compared while a day is missing
    put_slice(tmp_path)
    before, unasked = state(context), state(context, rows=0, groups=0)
    assert state(context) == before
    ingested(context, {partial: PLACES}, rows=2)
    assert state(context) != before
    assert state(context, rows=0, groups=0) == unasked


def test_rows_that_were_deleted_from_observations_are_usual_no_more(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    ingested(context, {day: PLACES for day in weeks_before()}, rows=10)
    put_slice(tmp_path)
    assert "(12 of usually 40)" in asked(context).problems[0]
    before, table = state(context), DeltaTable(context.store.table("observations"))
    table.delete("\"group\" <> 'a'")
    assert state(context) != before
    assert answers.usual(context).rows == {START + timedelta(days=n): 10.0 for n in range(7)}
    assert asked(context).fresh
    table.delete()
    assert answers.usual(context).rows == {}


@pytest.mark.parametrize("statistics", [True, False])
def test_a_table_that_gets_rows_of_other_days_settles_with_and_without_statistics(
    tmp_path: Path, statistics: bool
) -> None:
    def append(days: list[date]) -> None:
        kept = {} if statistics else {"configuration": {"delta.dataSkippingNumIndexedCols": "0"}}
        write_deltalake(tmp_path / "raw" / "rides", arrow(days), mode="append", **kept)

    days = [START + timedelta(days=number) for number in range(7)]
    append(days)
    context = context_of(tmp_path, {"table": "raw/rides"})
    before, arrived = state(context), what_arrived(context)
    append([LAST + timedelta(days=1)])
    assert state(context) == before
    assert (what_arrived(context).arrivals[LAST].delivery == arrived.arrivals[LAST].delivery) is statistics
    append([LAST])
    assert state(context) != before
