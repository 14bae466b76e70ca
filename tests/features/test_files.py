"""Features by bucket, straight from the table's files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from muster.context import Context
from muster.features.files import NoFeatures, group_slices, last_days, list_features, read_bucket
from muster.storage.store import Store
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

MONDAY = date(2013, 4, 29)
WORKLOAD = Workload.model_validate(
    {
        "name": "flights",
        "keys": ["carrier"],
        "time": "dep",
        "unique": ["carrier", "dep"],
        "columns": {"carrier": "string", "dep": "timestamp", "delay": "float?"},
        "label": {"column": "delay", "above": 15},
        "features": {"columns": ["hour", "record"]},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 28, "evaluate": 28},
        "schedule": {"start": MONDAY},
    }
)


def row(day: int, group: str, bucket: int, parent: bool = False) -> dict[str, Any]:
    moment = MONDAY + timedelta(days=day)
    time = datetime(moment.year, moment.month, moment.day, 12, tzinfo=UTC)
    ids = {"group": group, "parent": parent, "row_id": f"{group}-{day}", "time": time, "date": moment}
    first = (MONDAY + timedelta(days=day - day % 7)).isoformat()
    return {**ids, "label": None, "hour": 12.0, "record": float(day), "partition": first, "bucket": bucket}


def write(store: Store, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, features_schema(WORKLOAD))
    write_deltalake(store.table("features"), table, mode="append", partition_by=["partition", "bucket"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three slices of 21 days; `AA` and the parent `*` in bucket 0, `UA` in bucket 1, which has half of the days."""
    store = Store(str(tmp_path), "flights")
    rows = [row(day, "AA", 0) for day in range(21)] + [row(day, "*", 0, parent=True) for day in range(21)]
    write(store, [*reversed(rows), *(row(day, "UA", 1) for day in range(0, 21, 2))])
    return store


def days(first: int, last: int) -> DateRange:
    return DateRange(MONDAY + timedelta(days=first), MONDAY + timedelta(days=last))


def read(store: Store, span: DateRange, bucket: int, **options: Any) -> pa.Table:
    return read_bucket(WORKLOAD, list_features(Context(WORKLOAD, Path(), store), span).files[bucket], span, **options)


def test_files_are_listed_by_bucket_with_their_rows(store: Store) -> None:
    listing = list_features(Context(WORKLOAD, Path(), store), days(0, 21))
    assert (listing.version, listing.rows) == (0, {0: 42, 1: 11})
    assert {bucket: len(files) for bucket, files in listing.files.items()} == {0: 3, 1: 3}


@pytest.mark.parametrize(
    ("first", "last", "slices"), [(0, 21, 3), (0, 7, 1), (6, 8, 2), (7, 8, 1), (13, 14, 1), (-9, 1, 1), (20, 90, 1)]
)
def test_only_files_of_slices_that_touch_the_days_are_listed(store: Store, first: int, last: int, slices: int) -> None:
    assert len(list_features(Context(WORKLOAD, Path(), store), days(first, last)).files[0]) == slices


def test_an_older_version_lists_its_own_files(store: Store) -> None:
    write(store, [row(21, "UA", 1)])
    assert list_features(Context(WORKLOAD, Path(), store), days(0, 28)).rows[1] == 12
    assert list_features(Context(WORKLOAD, Path(), store), days(0, 28), version=0).rows[1] == 11


@pytest.mark.parametrize("span", [days(-7, 0), days(21, 28)])
def test_days_without_features_say_what_to_run(store: Store, span: DateRange) -> None:
    with pytest.raises(NoFeatures, match="run ingest and features first"):
        list_features(Context(WORKLOAD, Path(), store), span)


def test_days_on_which_nothing_happened_have_no_files(store: Store) -> None:
    assert list_features(Context(WORKLOAD, Path(), store), days(21, 28), quiet=lambda: True).files == {}


def test_the_last_day_of_a_slice_is_known_from_the_log_and_without_statistics_from_the_files(
    store: Store, tmp_path: Path
) -> None:
    last = {MONDAY + timedelta(days=first): MONDAY + timedelta(days=first + 6) for first in (0, 7, 14)}
    assert last_days(Context(WORKLOAD, Path(), store)) == last
    table = DeltaTable(store.table("features"))
    table.alter.set_table_properties({"delta.dataSkippingNumIndexedCols": "0"})
    write(store, [row(day, "DL", 1) for day in (21, 22)])
    last[MONDAY + timedelta(days=21)] = MONDAY + timedelta(days=22)
    assert last_days(Context(WORKLOAD, Path(), store)) == last


def test_files_with_times_of_before_are_read_beside_todays(store: Store, tmp_path: Path) -> None:
    files = [Path(file) for file in list_features(Context(WORKLOAD, Path(), store), days(0, 21)).files[0]]
    old = pq.read_table(files[0], partitioning=None)
    today = read(store, days(0, 21), 0)
    pq.write_table(old, files[0], use_deprecated_int96_timestamps=True)
    assert pq.read_metadata(files[0]).schema.column(old.schema.names.index("time")).physical_type == "INT96"
    assert read(store, days(0, 21), 0) == today


def test_table_not_yet_written_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NoFeatures, match=r"flights: features hold no row from 2013-04-29 up to 2013-05-06"):
        list_features(Context(WORKLOAD, Path(), Store(str(tmp_path), "flights")), days(0, 7))


def test_rows_are_of_the_days_alone_and_in_order(store: Store) -> None:
    rows = read(store, days(3, 10), 0)
    assert rows["row_id"].to_pylist() == [f"*-{n}" for n in range(3, 10)] + [f"AA-{n}" for n in range(3, 10)]


def test_parents_can_be_left_out(store: Store) -> None:
    assert set(read(store, days(0, 21), 0, parents=False)["group"].to_pylist()) == {"AA"}


def test_rows_come_in_the_declared_columns_without_the_layouts(store: Store) -> None:
    assert read(store, days(0, 7), 1).schema.equals(
        pa.schema([field for field in features_schema(WORKLOAD) if field.name not in ("partition", "bucket")])
    )


def test_named_columns_come_with_those_that_order_them(store: Store) -> None:
    assert read(store, days(0, 7), 1, columns=["record"]).column_names == ["record", "group", "time", "row_id"]


def test_group_slices_are_the_runs_of_equal_groups() -> None:
    table = pa.table({"group": pa.chunked_array([["AA", "AA"], ["AA", "UA"], [], ["ü"]])})
    assert group_slices(table) == [("AA", 0, 3), ("UA", 3, 4), ("ü", 4, 5)]


def test_no_rows_are_no_slices() -> None:
    assert group_slices(pa.table({"group": pa.array([], pa.string())})) == []
