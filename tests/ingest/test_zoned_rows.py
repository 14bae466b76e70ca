"""`time: {column: at, zone: Europe/Berlin}`: what times mean, and which day of 23, 24 or 25 hours they are on."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muster.context import Context
from muster.ingest.clocks import dates_of
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.sources.kinds import complete_arrivals
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from muster.workload.spec import Workload
from tests.ingest.formats.made import DECLARED, put

SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)
SKIPPED, NOT_THAT_DAY = "at: the clocks of Europe/Berlin skip this time", "at: not on the file's day"


def zoned(folder: Path, files: str = "{date}.csv", zone: str | None = "Europe/Berlin", **changes: Any) -> Context:
    columns = {"place": "string", "at": "timestamp", "warm": "float?"}
    time = {"column": "at", "zone": zone}
    declared = {"keys": ["place"], "unique": ["place", "at"], "columns": columns, "source": {"files": files}}
    workload = Workload.model_validate({**DECLARED, **declared, "time": time, "max_refused": 1, **changes})
    return Context(workload, folder, Store(str(folder), "made"))


def read(context: Context, day: date, *times: str) -> list[str]:
    """Return of each row the moment in UTC that is taken, or why it is refused."""
    put(context.folder, f"{day}.csv", "".join(f"{line}\n" for line in ("place,at,warm", *(f"a,{at}," for at in times))))
    return taken(context, day)


def taken(context: Context, day: date) -> list[str]:
    rows = check_day(context, day)
    good = iter(good_rows(context.workload, rows)["at"].to_pylist())
    return [reason or f"{next(good):%m-%d %H:%M:%S}" for reason in rows["reason"].to_pylist()]


@pytest.mark.parametrize(
    ("day", "at", "moment"),
    [
        (AUTUMN, "2024-10-27T00:00:00", "10-26 22:00:00"),
        (AUTUMN, "2024-10-27", "10-26 22:00:00"),
        (AUTUMN, "2024-10-27 2:30", "10-27 00:30:00"),  # shown twice: the first
        (AUTUMN, "2024-10-27T02:30:00", "10-27 00:30:00"),
        (AUTUMN, "2024-10-27T02:30:00+02:00", "10-27 00:30:00"),
        (AUTUMN, "2024-10-27T02:30:00+01:00", "10-27 01:30:00"),
        (AUTUMN, "2024-10-27T01:30:00Z", "10-27 01:30:00"),
        (AUTUMN, "2024-10-27T23:59:59.999999", "10-27 22:59:59"),
        (AUTUMN, "2024-10-27T22:59:59Z", "10-27 22:59:59"),
        (AUTUMN, "2024-10-27T23:00:00Z", NOT_THAT_DAY),
        (AUTUMN, "2024-10-28T00:00:00", NOT_THAT_DAY),
        (AUTUMN, "2024-10-26T23:00:00Z", "10-26 23:00:00"),
        (AUTUMN, "2024-10-26T21:59:59Z", NOT_THAT_DAY),
        (SPRING, "2024-03-30T23:00:00Z", "03-30 23:00:00"),
        (SPRING, "2024-03-31T01:59:59", "03-31 00:59:59"),
        (SPRING, "2024-03-31T02:00:00", SKIPPED),
        (SPRING, "2024-03-31 02:30", SKIPPED),
        (SPRING, "2024-03-31T02:59:59.999", SKIPPED),
        (SPRING, "2024-03-31T03:00:00", "03-31 01:00:00"),
        (SPRING, "2024-03-31T02:30:00+01:00", "03-31 01:30:00"),  # of an offset: a moment like any
        (SPRING, "2024-03-31T21:59:59Z", "03-31 21:59:59"),
        (SPRING, "2024-03-31T22:00:00Z", NOT_THAT_DAY),
        (SPRING, "2024-03-32T02:30:00", "at: not of type timestamp"),
        (SPRING, "", "at: missing"),
        (date(1890, 1, 1), "1890-01-01T00:00:00", "12-31 23:06:32"),
        (date(1969, 12, 31), "1969-12-31T23:59:59", "12-31 22:59:59"),
        (date.max, "9999-12-31T23:59:59", "12-31 22:59:59"),
        (date.max, "9999-12-31T23:30:00Z", NOT_THAT_DAY),
        (date(1, 1, 1), "0001-01-01T00:00:00", "at: not of type timestamp"),  # before the year 1 in UTC
        (date(1, 1, 1), "0001-01-01", "at: not of type timestamp"),
        (date(1, 1, 1), "0001-01-01T12:00:00", "01-01 11:06:32"),
    ],
)
def test_a_time_of_a_file_of_text(tmp_path: Path, day: date, at: str, moment: str) -> None:
    context = zoned(tmp_path)
    assert read(context, day, at) == [moment]
    put(tmp_path, f"{day}.jsonl", json.dumps({"place": "a", "at": at or None}))
    assert taken(zoned(tmp_path, "{date}.jsonl"), day) == [moment]


def test_a_day_alone_is_when_it_begins_though_its_midnight_is_skipped(tmp_path: Path) -> None:
    context = zoned(tmp_path, zone="Africa/Cairo")
    day, reason = date(2024, 4, 26), "at: the clocks of Africa/Cairo skip this time"
    times = ("2024-04-26", "2024-04-26T00:00:00", "2024-04-26T01:00:00")
    assert read(context, day, *times[:2]) == ["04-25 22:00:00", reason]
    assert read(context, day, times[2]) == ["04-25 22:00:00"]


def test_rows_of_the_repeated_hour_keep_their_order(tmp_path: Path) -> None:
    times = ["01:59:59+02:00", "02:59:59+02:00", "02:00:00+01:00", "03:00:00+01:00"]
    moments = read(zoned(tmp_path), AUTUMN, *(f"{AUTUMN}T{time}" for time in times))
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)


def test_every_hour_of_a_day_is_on_it_and_none_else(tmp_path: Path) -> None:
    for day, hours in ((SPRING, 23), (AUTUMN, 25), (date(2024, 1, 15), 24)):
        noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
        times = [noon + timedelta(hours=more) for more in range(-30, 30)]
        moments = read(zoned(tmp_path), day, *(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in times))
        assert len(moments) - moments.count(NOT_THAT_DAY) == hours
        there = dates_of(pa.array(times, pa.timestamp("us", "UTC")), "Europe/Berlin").to_pylist()
        assert [one == day for one in there] == [moment != NOT_THAT_DAY for moment in moments]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_parquet_are_moments_where_they_have_a_zone_and_else_what_the_clocks_show(
    tmp_path: Path, unit: str
) -> None:
    walls = [datetime(2024, 3, 31, hour, 30) for hour in (0, 1, 2, 3, 23)]
    context = zoned(tmp_path, "{date}.parquet")
    naive = pa.table({"place": ["a"] * 5, "at": pa.array(walls, pa.timestamp(unit)), "warm": pa.nulls(5, pa.float64())})
    pq.write_table(naive, tmp_path / f"{SPRING}.parquet")
    assert taken(context, SPRING) == ["03-30 23:30:00", "03-31 00:30:00", SKIPPED, "03-31 01:30:00", "03-31 21:30:00"]
    for zone in ("UTC", "America/New_York"):
        moments = naive.set_column(1, "at", pa.array(walls, pa.timestamp(unit, zone)))
        pq.write_table(moments, tmp_path / f"{SPRING}.parquet")
        assert taken(context, SPRING)[:4] == ["03-31 00:30:00", "03-31 01:30:00", "03-31 02:30:00", "03-31 03:30:00"]
        assert taken(context, SPRING)[4] == NOT_THAT_DAY
        [row] = check_day(context, SPRING)["row"].drop_null().to_pylist()
        assert json.loads(row)["at"].startswith("2024-03-31 23:30:00")
        assert json.loads(row)["at"].endswith("Z")
    days = naive.set_column(1, "at", pa.array([SPRING, None, AUTUMN, date.max, date(1, 1, 1)], pa.date32()))
    pq.write_table(days, tmp_path / f"{SPRING}.parquet")
    assert taken(context, SPRING) == [
        "03-30 23:00:00",
        "at: missing",
        NOT_THAT_DAY,
        NOT_THAT_DAY,
        "at: not of type timestamp",
    ]


def test_all_times_of_a_row_are_of_the_zone_and_a_date_beside_one_begins_there(tmp_path: Path) -> None:
    columns = {"place": "string", "at": "timestamp", "sent": "timestamp?", "built": "date?", "warm": "float?"}
    rules = {"late": "sent <= at", "early": "at >= built", "long": "built >= built - 1 d"}
    context = zoned(tmp_path, columns=columns, rules={**rules, "long": "at <= built + 23 h"})
    lines = [
        "a,2024-03-31T01:59:59,2024-03-31T01:59:59,2024-03-31,",
        "a,2024-03-31T01:00:00,2024-03-31T00:00:00Z,2024-03-31,",
        "a,2024-03-31T01:00:01,2024-03-31T00:00:02Z,,",  # a second later
        "a,2024-03-31T03:00:00,2024-03-31T02:30:00,,",
        "a,2024-03-31T00:00:00,,2024-04-01,",
        "a,2024-03-31T23:59:59,,2024-03-31,",
    ]
    put(tmp_path, f"{SPRING}.csv", "".join(f"{line}\n" for line in ("place,at,sent,built,warm", *lines)))
    reasons = check_day(context, SPRING)["reason"].to_pylist()
    assert reasons == [None, None, "late", "sent: the clocks of Europe/Berlin skip this time", "early", None]


def test_one_group_in_a_trial_is_read_as_the_whole_day(tmp_path: Path) -> None:
    context = zoned(tmp_path)
    assert read(context, AUTUMN, "2024-10-27T02:30:00", "2024-10-27T02:30:00+01:00")[1] == "10-27 01:30:00"
    own = landed_group(context, complete_arrivals(context, [AUTUMN]), "a")
    assert own.rows == good_rows(context.workload, check_day(context, AUTUMN))
    assert set(own.rows["date"].to_pylist()) == {AUTUMN}
