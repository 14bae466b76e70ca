"""Read and write Delta tables without Spark."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import FileSystem, SubTreeFileSystem

from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.workload.windows import DateRange

if TYPE_CHECKING:
    from deltalake import DeltaTable


def dataset(table: DeltaTable, statistics: bool = False) -> ds.Dataset:
    """Return a table's rows, whose files Arrow reads by a file system of its own.

    That of delta-rs is written in Python: where a thread of Arrow's still closes a file as the process ends, it wants
    the interpreter, and the process aborts (`terminate called without an active exception`), its work done or not.

    A filter leaves files out by their partition columns; with `statistics` also by the least and greatest value of
    every column, which costs 0.7 ms a file of the table before the first is read: for filters by other columns.
    """
    filesystem, folder = FileSystem.from_uri(table.table_uri)
    of_table = SubTreeFileSystem(folder, filesystem)
    if statistics:
        return table.to_pyarrow_dataset(filesystem=of_table)
    columns, by = pa.schema(table.schema().to_arrow()), set(table.metadata().partition_columns)
    of_files = pa.schema([column for column in columns if column.name in by])
    return table.to_pyarrow_dataset(filesystem=of_table, schema=of_files).replace_schema(columns)


def parquet_files(files: Sequence[str], schema: pa.Schema | None = None) -> ds.Dataset:
    """Return the rows of Parquet files, given by absolute paths or by URIs of one store."""
    if not files or "://" not in files[0]:
        return ds.dataset(list(files), schema=schema, format="parquet")
    common = posixpath.commonpath([posixpath.dirname(file) for file in files])
    common = common.replace(":/", "://", 1)  # which commonpath takes for one slash
    filesystem, folder = FileSystem.from_uri(common)
    paths = [f"{folder}{file[len(common) :]}" for file in files]
    return ds.dataset(paths, schema=schema, format="parquet", filesystem=filesystem)


def created(store: Store, table: str, columns: pa.Schema) -> DeltaTable:
    """Open the table `table`; where there is none yet it is made first, empty, laid out by its `partitioned_by`.

    Of two that write to it for the first time in the same moment, neither then replaces more than its own rows.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    there = store.open(table)
    if there is not None:
        return there
    by = list(TABLES[table].partitioned_by)
    with contextlib.suppress(DeltaError):  # another process makes it in the same moment
        DeltaTable.create(store.table(table), columns, mode="ignore", partition_by=by or None)
    there = store.open(table)
    assert there is not None  # noqa: S101 - for the type: it has just been made
    return there


def replace_rows(store: Store, table: str, rows: pa.Table, where: str, mark: str | None = None) -> None:
    """Replace the rows of `table` for which the SQL predicate `where` holds with `rows`, in one Delta commit.

    Where `where` names partition columns only, no other partition's file is read or rewritten. A column that the table
    has not yet is added to it. Another's commit at the same moment may make it fail: then it can be made again. `mark`
    is the commit's `userMetadata`.
    """
    from deltalake import CommitProperties, write_deltalake

    delta = created(store, table, rows.schema)
    # Merging alters the table even where nothing is new, and then another's write at the same moment fails.
    same = {field.name for field in delta.schema().fields} == set(rows.column_names)
    schema_mode: Literal["merge"] | None = None if same else "merge"
    marked = CommitProperties(custom_metadata={"userMetadata": mark}) if mark else None
    write_deltalake(delta, rows, mode="overwrite", predicate=where, schema_mode=schema_mode, commit_properties=marked)


def count_rows(table: DeltaTable, days: DateRange) -> int | None:
    """Return how many rows a table that is laid out by `date` has of `days`; None where its log does not say."""
    added = pa.table(table.get_add_actions(flatten=True))
    if "num_records" not in added.column_names:
        return None
    of_days = pc.and_(
        pc.greater_equal(added["partition.date"], pa.scalar(days.start)),
        pc.less(added["partition.date"], pa.scalar(days.stop)),
    )
    counts = added["num_records"].filter(of_days)
    return None if counts.null_count else pc.sum(counts).as_py() or 0


def marked_version(store: Store, table: str, mark: str, since: int) -> int | None:
    """Return the version after `since` that was committed with the `userMetadata` `mark`, whatever came after it.

    None where there is none: a write that neither adds nor takes away a row commits nothing.
    """
    delta = store.open(table)
    assert delta is not None  # noqa: S101 - for the type: `since` is a version of it
    commits = delta.history(delta.version() - since) if delta.version() > since else []
    return next((int(commit["version"]) for commit in commits if commit.get("userMetadata") == mark), None)
