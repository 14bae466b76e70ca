"""Rows replaced in a Delta table without Spark: those that the predicate names, and no others."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from muster.storage import delta
from muster.storage.delta import count_rows, dataset, marked_version, replace_rows
from muster.storage.store import Store
from muster.workload.windows import DateRange

FIRST, SECOND = "2024-01-01", "2024-01-08"
COLUMNS = pa.schema([("partition", pa.string()), ("group", pa.string())])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "made")


def replace(store: Store, partition: str, *groups: str) -> None:
    rows = pa.Table.from_pylist([{"partition": partition, "group": group} for group in groups], COLUMNS)
    replace_rows(store, "ledger", rows, f"partition = '{partition}'")


def ledger_rows(store: Store) -> list[tuple[str, str]]:
    rows = DeltaTable(store.table("ledger")).to_pyarrow_table().to_pylist()
    return sorted((row["partition"], row["group"]) for row in rows)


def test_the_first_commit_lays_the_table_out(store: Store) -> None:
    replace(store, FIRST, "a", "b")
    assert ledger_rows(store) == [(FIRST, "a"), (FIRST, "b")]
    assert DeltaTable(store.table("ledger")).metadata().partition_columns == ["partition"]


def test_the_rows_of_one_partition_are_replaced_in_one_commit(store: Store) -> None:
    replace(store, FIRST, "a", "b")
    replace(store, SECOND, "a")
    replace(store, FIRST, "c")
    assert ledger_rows(store) == [(FIRST, "c"), (SECOND, "a")]
    assert DeltaTable(store.table("ledger")).version() == 3


def test_files_are_read_by_a_file_system_that_needs_no_interpreter(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "a b é"), "made")
    replace(store, FIRST, "a", "b")
    replace(store, SECOND, "c")
    rows = dataset(DeltaTable(store.table("ledger")))
    assert isinstance(rows.filesystem, SubTreeFileSystem)
    assert isinstance(rows.filesystem.base_fs, LocalFileSystem)
    assert rows.to_table(filter=pc.field("partition") == FIRST)["group"].to_pylist() == ["a", "b"]


def test_files_are_left_out_by_their_partition_and_where_it_pays_by_their_statistics(store: Store) -> None:
    replace(store, FIRST, "a", "b")
    replace(store, SECOND, "c")
    table = DeltaTable(store.table("ledger"))
    of_first, of_c = pc.field("partition") == FIRST, pc.field("group") == "c"
    for statistics, files in ((False, [1, 2]), (True, [1, 1])):
        rows = dataset(table, statistics)
        assert [len(list(rows.get_fragments(filter=only))) for only in (of_first, of_c)] == files
        assert rows.to_table(filter=of_c).to_pylist() == [{"partition": SECOND, "group": "c"}]
        assert rows.schema == COLUMNS


def test_of_two_first_writers_none_replaces_the_others_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def created_late(*arguments: Any) -> DeltaTable:
        """Let another writer come first, after it was looked whether there is a table."""
        monkeypatch.setattr(delta, "created", made)
        replace(store, SECOND, "theirs")
        return made(*arguments)

    made = delta.created
    monkeypatch.setattr(delta, "created", created_late)
    replace(store, FIRST, "ours")
    assert ledger_rows(store) == [(FIRST, "ours"), (SECOND, "theirs")]


def test_a_column_that_is_new_or_missing_is_null_where_it_was_not_written(store: Store) -> None:
    replace(store, FIRST, "a")
    rows = pa.table({"partition": [SECOND], "group": ["b"], "seconds": [1.5]})
    replace_rows(store, "ledger", rows, f"partition = '{SECOND}'")
    replace(store, FIRST, "c")
    table = DeltaTable(store.table("ledger")).to_pyarrow_table().to_pylist()
    assert {row["group"]: row["seconds"] for row in table} == {"b": 1.5, "c": None}


def test_a_partition_may_become_empty(store: Store) -> None:
    replace(store, FIRST, "a")
    replace(store, SECOND, "b")
    replace(store, FIRST)
    assert ledger_rows(store) == [(SECOND, "b")]


def test_a_column_that_the_table_does_not_have_yet_is_added(store: Store) -> None:
    replace(store, FIRST, "a")
    rows = pa.table({"partition": [SECOND], "group": ["b"], "learnt": [7]})
    replace_rows(store, "ledger", rows, f"partition = '{SECOND}'")
    replace(store, FIRST, "c")  # a job of the version before
    table = DeltaTable(store.table("ledger")).to_pyarrow_table().sort_by("partition")
    assert (table["group"].to_pylist(), table["learnt"].to_pylist()) == (["c", "b"], [None, 7])


def test_rows_of_another_partition_are_refused(store: Store) -> None:
    replace(store, FIRST, "a")
    rows = pa.Table.from_pylist([{"partition": SECOND, "group": "b"}], COLUMNS)
    with pytest.raises(Exception, match="partition"):
        replace_rows(store, "ledger", rows, f"partition = '{FIRST}'")
    assert ledger_rows(store) == [(FIRST, "a")]


@pytest.mark.parametrize("later", [0, 1, 30])
def test_a_commit_is_told_from_those_of_others_by_its_mark(store: Store, later: int) -> None:
    replace(store, FIRST, "a")
    rows = pa.Table.from_pylist([{"partition": SECOND, "group": "b"}], COLUMNS)
    for mark in ("another", "ours", *["later"] * later):
        properties = CommitProperties(custom_metadata={"userMetadata": mark})
        write_deltalake(store.table("ledger"), rows, mode="append", commit_properties=properties)
    assert marked_version(store, "ledger", "ours", since=1) == 3
    assert marked_version(store, "ledger", "none", since=1) is None
    assert marked_version(store, "ledger", "ours", since=3) is None


def test_a_replacement_bears_its_mark(store: Store) -> None:
    rows = pa.Table.from_pylist([{"partition": FIRST, "group": "a"}], COLUMNS)
    replace_rows(store, "ledger", rows, f"partition = '{FIRST}'", "ours")
    replace(store, FIRST, "b")
    assert marked_version(store, "ledger", "ours", since=0) == 1


def test_rows_are_counted_by_day_from_the_log_alone(store: Store) -> None:
    columns = pa.schema([("date", pa.date32()), ("group", pa.string())])
    days = [date(2024, 1, day) for day in (7, 8, 8, 9, 10)]
    rows = pa.table({"date": days, "group": [*"abcde"]}, columns)
    replace_rows(store, "observations", rows, "true")
    table = store.open("observations")
    assert table is not None
    for file in Path(store.table("observations")).rglob("*.parquet"):
        file.unlink()
    assert count_rows(table, DateRange(date(2024, 1, 8), date(2024, 1, 10))) == 3
    assert count_rows(table, DateRange(date(2024, 1, 11), date(2024, 1, 20))) == 0
