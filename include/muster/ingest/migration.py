"""Rewrite the rows of `observations` as they are declared now, when a column's type or the keys have changed."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from muster.context import Context
from muster.errors import MusterError
from muster.ingest.names import buckets, names, text
from muster.storage.evolution import check_new_columns, column_types
from muster.storage.query import NotWritten
from muster.storage.tables import observations_schema
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction


class NoSuchValue(MusterError):
    """Raised when a value of before cannot be one of the type that is declared now: no row was rewritten."""

    def __init__(self, workload: Workload, column: str, day: date, problem: Exception) -> None:
        kind = workload.columns[column].type
        super().__init__(
            f"{workload.name}: '{column}' of {day} does not read as {kind}: {str(problem)[:200]}; "
            f"nothing was rewritten; declare '{column}' as before"
        )


@dataclass(frozen=True)
class Migration:
    """What was rewritten."""

    days: int
    rows: int
    changes: list[str]
    """Each column that is another now: 'id: string -> int64'."""


def migrate(context: Context) -> Migration:
    """Rewrite all rows of `observations` in one commit, a day at a time: no more than a day is held in memory.

    Values are cast to the declared types, columns that are new get no value, those that are not declared any more go;
    group, bucket and row_id are made anew. An ingest at the same time may be lost: it is to be paused first.

    Raises:
        NotWritten: when there is no such table yet.
        RequiredColumn: when a new column must have a value.
        NoSuchValue: when a value does not fit the declared type.
    """
    workload, store = context.workload, context.store
    table = store.open("observations")
    if table is None:
        raise NotWritten(workload.name, "observations")
    check_new_columns(workload, table)
    schema, source = observations_schema(workload), table.to_pyarrow_dataset()
    filesystem, folder = FileSystem.from_uri(store.table("observations"))
    written: list[AddAction | RemoveAction] = []
    count = 0
    try:
        for day in sorted(store.days("observations")):
            rows = as_declared(workload, source.to_table(filter=pc.field("date") == day), day)
            written.append(_write(filesystem, folder, rows.drop_columns("date"), day))
            count += rows.num_rows
    except BaseException:
        for action in written:
            filesystem.delete_file(f"{folder}/{action.path}")
        raise
    table.create_write_transaction(written, "overwrite", schema, partition_by=["date"])
    return Migration(len(written), count, _changes(column_types(table), schema))


def as_declared(workload: Workload, rows: pa.Table, day: date) -> pa.Table:
    """Return a day's rows of before with the columns of `observations_schema`.

    Raises:
        NoSuchValue: when a value does not fit the declared type.
    """
    schema, columns = observations_schema(workload), {"date": pa.repeat(pa.scalar(day), rows.num_rows)}
    for name in workload.columns:
        kind = schema.field(name).type
        if name not in rows.column_names:
            columns[name] = pa.nulls(rows.num_rows, kind)
            continue
        try:
            columns[name] = _cast(rows[name], kind)
        except pa.ArrowInvalid as error:
            raise NoSuchValue(workload, name, day, error) from error
    for name, named_by in (("group", workload.keys), ("row_id", workload.unique)):
        columns[name] = names([pa.chunked_array(columns[key]).combine_chunks() for key in named_by])
    columns["bucket"] = buckets(columns["group"], workload.features.buckets)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return (
        pa.chunked_array([text(chunk) for chunk in values.chunks], kind)
        if pa.types.is_string(kind)
        else values.cast(kind)
    )


def _write(filesystem: FileSystem, folder: str, rows: pa.Table, day: date) -> AddAction:
    from deltalake.transaction import AddAction

    path = f"date={day}/part-{uuid.uuid4()}.parquet"
    filesystem.create_dir(f"{folder}/date={day}")
    pq.write_table(rows, f"{folder}/{path}", filesystem=filesystem)
    size = filesystem.get_file_info(f"{folder}/{path}").size
    stats = json.dumps({"numRecords": rows.num_rows})
    return AddAction(path, size, {"date": day.isoformat()}, int(time.time() * 1000), True, stats)


def _changes(before: dict[str, pa.DataType], now: pa.Schema) -> list[str]:
    added = [f"{field.name}: new" for field in now if field.name not in before]
    gone = [f"{name}: gone" for name in before if name not in now.names]
    other = [
        f"{n}: {kind} -> {now.field(n).type}"
        for n, kind in before.items()
        if n in now.names and now.field(n).type != kind
    ]
    return [*other, *added, *gone]
