"""A Delta table as a source of a workload whose days begin in a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from muster.context import Context
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.sources.kinds import complete_arrivals, source_of
from muster.ingest.sources.table_log import files_of
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from muster.workload.spec import Workload
from tests.ingest.formats.made import DECLARED

SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)
HOURS = {SPRING: 23, AUTUMN: 25}
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
MOMENTS, SHOWN = pa.timestamp("us", "UTC"), pa.timestamp("us")


def zoned(folder: Path, zone: str | None = "Europe/Berlin", **changes: Any) -> Context:
    columns = {"place": "string", "at": "timestamp", "warm": "float?"}
    declared = {"keys": ["place"], "unique": "row", "columns": columns, "source": {"table": f"{folder}/lake"}}
    workload = Workload.model_validate({**DECLARED, **declared, "time": {"column": "at", "zone": zone}, **changes})
    return Context(workload, folder, Store(str(folder), "made"))


def put(folder: Path, times: list[Any], kind: pa.DataType, **options: Any) -> DeltaTable:
    rows = pa.table({"place": ["a"] * len(times), "at": pa.array(times, kind), "warm": [1.5] * len(times)})
    write_deltalake(f"{folder}/lake", rows, mode="append", **options)
    return DeltaTable(f"{folder}/lake")


def hours(day: date, first: int, last: int) -> list[datetime]:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return [noon + more * AN_HOUR for more in range(first, last)]


@pytest.mark.parametrize("day", HOURS)
def test_moments_are_on_the_days_of_the_zone(tmp_path: Path, day: date) -> None:
    for first in range(-48, 48, 12):  # a file each
        put(tmp_path, hours(day, first, first + 12), MOMENTS)
    context = zoned(tmp_path)
    days = [day + more * A_DAY for more in range(-1, 2)]
    arrived = source_of(context).arrived(days)
    assert {one: int(arrival.delivery.split()[0]) for one, arrival in arrived.items()} == {
        one: HOURS.get(one, 24) for one in days
    }
    assert source_of(context).days() >= set(days)
    rows = check_day(context, day)
    assert rows["reason"].null_count == rows.num_rows == HOURS[day]
    own = landed_group(context, complete_arrivals(context, [day]), "a")
    order = [("row_id", "ascending")]
    assert own.rows.sort_by(order) == good_rows(context.workload, rows).sort_by(order)
    moments = sorted(own.rows["at"].to_pylist())
    assert moments[0].replace(tzinfo=UTC) == datetime(day.year, day.month, day.day, tzinfo=UTC) - AN_HOUR * (
        1 if day == SPRING else 2
    )


@pytest.mark.parametrize("day", HOURS)
def test_what_the_clocks_show_is_on_the_day_that_it_shows(tmp_path: Path, day: date) -> None:
    put(tmp_path, [one.replace(tzinfo=None) for one in hours(day, -36, 36)], SHOWN)
    context = zoned(tmp_path, max_refused=1)
    arrived = source_of(context).arrived({day})
    assert arrived[day].delivery.startswith("24 rows")
    rows = check_day(context, day)
    skipped = ["at: the clocks of Europe/Berlin skip this time"] if day == SPRING else []
    assert rows["reason"].drop_null().to_pylist() == skipped
    moments = good_rows(context.workload, rows)["at"].to_pylist()
    assert max(moments) - min(moments) == (22 if day == SPRING else 24) * AN_HOUR


def test_a_date_is_its_day_in_any_zone(tmp_path: Path) -> None:
    put(tmp_path, [SPRING, AUTUMN], pa.date32())
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        context = zoned(tmp_path, zone)
        assert set(source_of(context).arrived({SPRING, AUTUMN})) == source_of(context).days() == {SPRING, AUTUMN}
        assert check_day(context, AUTUMN)["reason"].to_pylist() == [None]


def test_files_may_have_the_days_of_the_zone_that_their_times_are_on(tmp_path: Path) -> None:
    table = put(tmp_path, [datetime(2024, 1, 15, 23, 30, tzinfo=UTC)], MOMENTS)
    for zone, day in (("Europe/Berlin", 16), ("America/New_York", 15), (None, 15)):
        [file] = files_of(table, zoned(tmp_path, zone).workload)
        assert [file.may_have(date(2024, 1, one)) for one in (14, 15, 16, 17)] == [
            one == day for one in (14, 15, 16, 17)
        ]
    first = source_of(zoned(tmp_path)).arrived({date(2024, 1, 16)})
    put(tmp_path, [datetime(2024, 1, 16, 23, 30, tzinfo=UTC)], MOMENTS)
    again = source_of(zoned(tmp_path)).arrived({date(2024, 1, 16), date(2024, 1, 17)})
    assert again[date(2024, 1, 16)].delivery == first[date(2024, 1, 16)].delivery
    assert again[date(2024, 1, 17)].delivery.startswith("1 rows of 1 files")


@pytest.mark.parametrize("kind", [MOMENTS, SHOWN])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_years_at_the_limits_are_days_or_told_as_none(tmp_path: Path, zone: str, kind: pa.DataType) -> None:
    seconds = (-62_135_596_800, -(10**11), -2_500_000_000, 0, 253_402_300_799, 10**12, 9 * 10**12)
    put(tmp_path, [pa.scalar(at * 10**6, kind) for at in seconds] + [None], kind)
    context = zoned(tmp_path, zone, max_refused=1)
    source = source_of(context)
    days = source.days()
    assert len(days) + source.undated() == len(seconds) + 1
    for day, arrival in source.arrived(days).items():
        assert arrival.delivery.startswith("1 rows")
        assert check_day(context, day).num_rows == 1
