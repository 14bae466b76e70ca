"""A Delta table as a source: which days have come, what a day has, and what is refused."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from muster.context import Context
from muster.ingest.row_checks import check_arrival
from muster.ingest.sources.kinds import source_of
from muster.ingest.sources.table import BadTable, TableChanged, _at
from muster.storage.store import Store
from muster.workload.spec import Workload
from tests.ingest.formats.made import DAY, DECLARED, checked

NEXT, LATER = DAY + timedelta(days=1), DAY + timedelta(days=9)
TIMES = {
    "with a zone": pa.timestamp("us", "UTC"),
    "without a zone": pa.timestamp("us"),
    "a date": pa.date32(),
}


def made(folder: Path, table: str = "raw/rides", **source: str) -> Context:
    workload = Workload.model_validate({**DECLARED, "source": {"table": table, **source}})
    return Context(workload, folder, Store(str(folder), "made"))


def rows(*days: date, time: pa.DataType = TIMES["with a zone"], **more: list[Any]) -> pa.Table:
    """Return a row a day, its number the line; the last moment of its day where that has hours."""
    ends = [datetime.combine(day, datetime.max.time(), UTC if getattr(time, "tz", None) else None) for day in days]
    at = pa.array(list(days) if pa.types.is_date(time) else ends, time)
    numbers = range(len(days))
    columns: dict[str, Any] = {"place": ["Zürich"] * len(days), "line": pa.array(numbers, pa.int32()), "at": at}
    columns |= {"warm": [1.5 + n for n in numbers], "open": [True] * len(days), "built": list(days)}
    return pa.table({**columns, "note": pa.nulls(len(days), pa.string()), "more": ["x"] * len(days), **more})


def put(folder: Path, table: pa.Table) -> DeltaTable:
    write_deltalake(folder / "raw" / "rides", table, mode="append", schema_mode="merge")
    return DeltaTable(folder / "raw" / "rides")


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_a_day_has_the_rows_whose_time_is_on_it(tmp_path: Path, time: pa.DataType) -> None:
    put(tmp_path, rows(DAY, NEXT, time=time))
    put(tmp_path, rows(LATER, time=time))
    source = source_of(made(tmp_path))
    assert source.days() == {DAY, NEXT, LATER}
    assert list(source.arrived({DAY, NEXT, DAY + timedelta(days=2)})) == [DAY, NEXT]
    good, refused = checked(made(tmp_path))
    assert ([(row["line"], row["warm"], row["built"]) for row in good], refused) == ([(0, 1.5, DAY)], [])
    moment = good[0]["at"].replace(tzinfo=UTC)
    assert moment.date() == DAY
    assert (moment.hour == 0) == pa.types.is_date(time)


def test_another_delivery_is_of_the_days_that_a_commit_may_have_changed_and_a_version_is_read_to_its_end(
    tmp_path: Path,
) -> None:
    put(tmp_path, rows(DAY))
    put(tmp_path, rows(NEXT))
    context = made(tmp_path)
    before = source_of(context).arrived({DAY, NEXT})
    put(tmp_path, rows(NEXT, warm=[7.5]))
    after = source_of(context).arrived({DAY, NEXT})
    assert (after[DAY].delivery == before[DAY].delivery, after[NEXT].delivery == before[NEXT].delivery) == (True, False)
    assert (after[NEXT].since or datetime.min) > (before[NEXT].since or datetime.max)
    counts = [check_arrival(context, arrivals[NEXT]).num_rows for arrivals in (before, after)]
    assert counts == [1, 2]
    DeltaTable(tmp_path / "raw" / "rides").delete(f"at >= '{NEXT}'")
    assert source_of(context).arrived({DAY, NEXT}).keys() == {DAY}


def test_another_table_in_its_place_is_told_and_none_is_read_in_place_of_the_other(tmp_path: Path) -> None:
    put(tmp_path, rows(DAY))
    context = made(tmp_path)
    before = source_of(context).arrived({DAY})[DAY]
    assert check_arrival(context, before).num_rows == 1
    _at.cache_clear()  # as in a worker that has not read it yet
    shutil.rmtree(tmp_path / "raw")
    with pytest.raises(TableChanged, match="is not there any more; run ingest again"):
        check_arrival(context, before)
    put(tmp_path, rows(DAY, DAY, warm=[7.0, 8.0]))
    with pytest.raises(TableChanged, match="is another one than when the run began; run ingest again"):
        check_arrival(context, before)
    after = source_of(context).arrived({DAY})[DAY]
    assert (check_arrival(context, after).num_rows, after.delivery == before.delivery) == (2, False)
    put(tmp_path, rows(DAY)).optimize.compact()
    DeltaTable(tmp_path / "raw" / "rides").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(TableChanged, match=r"cannot be read \(.*; run ingest again"):
        check_arrival(context, after)


def test_a_refused_row_says_which_version_it_is_of(tmp_path: Path) -> None:
    put(tmp_path, rows(DAY, DAY, warm=[float("nan"), 1.0], note=["a", "b"]))
    _, [(file, reason, row)] = checked(made(tmp_path))
    assert (file, reason) == ("rides, version 0", "warm: not of type float")
    assert '"note":"a"' in row


def test_rows_without_a_time_are_counted_and_no_table_is_no_day(tmp_path: Path) -> None:
    source = source_of(made(tmp_path))
    assert (source.days(), source.arrived({DAY}), source.undated()) == (set(), {}, 0)
    put(tmp_path, rows(DAY, DAY, at=pa.array([None, datetime(2024, 1, 15, tzinfo=UTC)], TIMES["with a zone"])))
    assert (source.undated(), source.days()) == (1, {DAY})


@pytest.mark.parametrize(
    ("columns", "source", "problem"),
    [
        ({}, {"extra": "refuse"}, "has the undeclared more"),
        ({"note": None, " Note": ["x"]}, {}, "is ' Note', declared is 'note'"),
        ({"warm": None}, {}, "lacks warm"),
        ({"warm": [True]}, {}, "'warm' is bool, declared is float"),
        ({"warm": [[1.5]]}, {}, "nested columns are not read"),
        ({"at": [str(DAY)]}, {}, "has 'at' as string, by which no day can be told: make it a timestamp or a date"),
    ],
)
def test_other_columns_are_refused_with_the_table(
    tmp_path: Path, columns: dict[str, Any], source: dict[str, str], problem: str
) -> None:
    table = rows(DAY)
    for name, values in columns.items():
        table = table.drop_columns(name) if name in table.column_names else table
        table = table if values is None else table.append_column(name, pa.array(values))
    put(tmp_path, table)
    context = made(tmp_path, **source)
    with pytest.raises(BadTable, match=f"the source's table '{tmp_path}/raw/rides' .*{problem}"):
        source_of(context).arrived({DAY})


def test_files_without_statistics_may_have_any_day_and_those_without_a_time_none(tmp_path: Path) -> None:
    undated = pa.array([None], TIMES["with a zone"])
    place = tmp_path / "raw" / "rides"
    write_deltalake(place, rows(DAY))
    context = made(tmp_path)
    before = source_of(context).arrived({DAY})[DAY].delivery
    write_deltalake(place, rows(NEXT, at=undated), mode="append")
    assert source_of(context).arrived({DAY})[DAY].delivery == before
    DeltaTable(place).alter.set_table_properties({"delta.dataSkippingNumIndexedCols": "0"})
    write_deltalake(place, rows(NEXT), mode="append")
    assert source_of(context).arrived({DAY})[DAY].delivery != before


@pytest.mark.parametrize("time", [pa.timestamp("us", "UTC"), pa.date32()])
def test_a_year_that_python_does_not_know_costs_its_row_alone(tmp_path: Path, time: pa.DataType) -> None:
    far = pa.array([253402300800 + 86400 * 400], pa.int64())  # in the year 10001
    late = pa.compute.multiply(far, 10**6).cast(pa.timestamp("us", "UTC"))
    late = late if time == late.type else pa.compute.divide(far, 86400).cast(pa.int32()).cast(pa.date32())
    put(tmp_path, rows(DAY, time=time))
    put(tmp_path, rows(DAY, at=late))
    source = source_of(made(tmp_path))
    assert (source.days(), source.undated(), list(source.arrived({DAY, NEXT}))) == ({DAY}, 1, [DAY])


def test_what_is_no_delta_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    place = tmp_path / "raw" / "rides"
    place.write_text("no folder")
    with pytest.raises(BadTable, match="cannot be read"):
        source_of(made(tmp_path)).arrived({DAY})
    place.unlink()
    place.mkdir()
    with pytest.raises(BadTable, match="is no Delta table: there is no '_delta_log' in it"):
        source_of(made(tmp_path)).days()
    (place / "_delta_log").mkdir()
    (place / "_delta_log" / f"{0:020}.json").write_text('{"commitInfo')
    with pytest.raises(BadTable) as error:
        source_of(made(tmp_path)).days()
    assert len(str(error.value).splitlines()) == 1
