"""Rewrite the rows of `observations` as they are declared now: as ingest would, had they landed today."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from muster.context import Context
from muster.errors import MusterError, bounded
from muster.ingest.arrivals import day_facts, written_at
from muster.ingest.names import are_of_rows, text
from muster.ingest.row_checks import check_rows, good_rows
from muster.ingest.sources.kind import RowBlock
from muster.printable import cell, number
from muster.storage.delta import dataset
from muster.storage.evolution import by_lower_case, check_new_columns, check_zone, column_types
from muster.storage.provenance import content_digest, file_digests, newest_facts, write_facts
from muster.storage.query import NotWritten
from muster.storage.store import Store
from muster.storage.tables import STRING, observations_schema
from muster.workload.column import ColumnType
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction


class RefusedDay(NamedTuple):
    """What ingest would refuse of a day."""

    reasons: Counter[str]
    first: Sequence[str]
    """A few of the rows."""

    @classmethod
    def of(cls, rows: pa.Table) -> RefusedDay:
        """Return it of checked rows that all have a `reason`."""
        first = [f"{row['reason']}: {cell(row['row'], 200)}" for row in rows.slice(0, 3).to_pylist()]
        return cls(Counter(rows["reason"].to_pylist()), first)


class RefusedRows(MusterError):
    """Raised when ingest would refuse rows of before as they are declared now."""

    def __init__(self, workload: Workload, days: Mapping[date, RefusedDay], rewritten: int = 0) -> None:
        self.days = days
        of_days = [
            f"{refused.reasons.total()} rows of {day}: "
            + bounded((f"{reason} ({count})" for reason, count in refused.reasons.most_common()), 5)
            for day, refused in days.items()
        ]
        first = next(iter(days.values())).first
        done = f"{number(rewritten, 'other day')} rewritten" if rewritten else "nothing was rewritten"
        super().__init__(
            f"{workload.name}: as declared now, ingest would refuse {bounded(of_days, 5)}; the first: "
            f"{'; '.join(first)}; {done}. Declare what they do not fit as before, or have these rows delivered again "
            "as they should be, and ingested as declared before, then migrate again"
        )


@dataclass(frozen=True)
class Migration:
    """What was rewritten."""

    days: int
    rows: int
    changes: list[str]
    """Each column that is another now: 'id: string -> int64'."""


def migrate(context: Context) -> Migration:
    """Rewrite the rows of `observations` in one commit, a day at a time: no more than a day is held in memory.

    A day of which ingest would refuse a row stays as it is, and all such days are told. The others are rewritten even
    so where no column is another; else the table would be of two kinds, and nothing is.

    Every row of before goes through ingest's own checks, as text. Columns that are new get no value, those that are not
    declared any more go; group, bucket and row_id are made anew. Where no column is another, only days that have other
    rows now are rewritten. An ingest at the same time may be lost: it is to be paused first.

    Raises:
        NotWritten: when there is no such table yet.
        RequiredColumn: when a new column must have a value.
        OtherZone: when days were read in another time zone: what was written without an offset, no row says.
        RefusedRows: when ingest would refuse a row, with the days.
    """
    workload, store = context.workload, context.store
    table = store.open("observations")
    if table is None:
        raise NotWritten(workload.name, "observations")
    check_new_columns(workload, table)
    schema, source, times = observations_schema(workload), dataset(table), written_at(store)
    check_zone(workload, store, times)
    changes = _changes(column_types(table), schema)
    filesystem, folder = FileSystem.from_uri(store.table("observations"))
    written: list[AddAction | RemoveAction] = []
    counts: dict[date, int] = {}
    refused: dict[date, RefusedDay] = {}
    try:
        for day in sorted(times):
            before = source.to_table(filter=pc.field("date") == day)
            try:
                rows = as_declared(workload, before, day)
            except RefusedRows as error:
                refused |= error.days
                continue
            if changes and refused:
                continue
            if changes or not rows.equals(before.select(schema.names).cast(schema)):
                written.append(_write(filesystem, folder, rows.drop_columns("date"), day, times[day]))
                counts[day] = rows.num_rows
        if changes and refused:
            raise RefusedRows(workload, refused)
    except BaseException:
        for action in written:
            filesystem.delete_file(f"{folder}/{action.path}")
        raise
    if changes or written:
        replaced = None if changes else [("date", "in", [str(day) for day in counts])]
        table.create_write_transaction(written, "overwrite", schema, partition_by=["date"], partition_filters=replaced)
        _write_facts(store, counts, workload.zone)
    if refused:
        raise RefusedRows(workload, refused, len(counts))
    return Migration(len(counts), sum(counts.values()), changes)


def as_declared(workload: Workload, rows: pa.Table, day: date) -> pa.Table:
    """Return a day's rows of before with the columns of `observations_schema`.

    Raises:
        RefusedRows: when ingest would refuse one, or two share what is to be unique.
    """
    before = {name.lower(): column for name, column in zip(rows.column_names, rows.columns, strict=True)}
    zoned = workload.zone is not None
    texts = {name: _texts(before.get(name.lower()), column.type, zoned) for name, column in workload.columns.items()}
    blocks = pa.table({name: pa.nulls(rows.num_rows, STRING) if t is None else t for name, t in texts.items()})
    checked = check_rows(workload, day, (RowBlock(batch) for batch in blocks.to_batches()))
    refused = checked.filter(checked["reason"].is_valid())
    if refused.num_rows:
        raise RefusedRows(workload, {day: RefusedDay.of(refused)})
    return _with_own_ids(workload, good_rows(workload, checked), rows)


def _with_own_ids(workload: Workload, rows: pa.Table, before: pa.Table) -> pa.Table:
    """Return rows with their ids of before, where those are of rows: which row of its file one was, no column says.

    A day that was named by columns before gets ids as rows of a table have them.
    """
    if workload.unique or not pc.all(are_of_rows(before["row_id"])).as_py():
        return rows
    return rows.set_column(rows.schema.get_field_index("row_id"), rows.schema.field("row_id"), before["row_id"])


def _texts(values: pa.ChunkedArray | None, kind: ColumnType, zoned: bool) -> pa.ChunkedArray | None:
    """Return values as texts that read as these very values; whole floats as a column of integers has them landed.

    Where times without an offset are of a zone, moments stay what they are.
    """
    if values is None or (zoned and kind == "timestamp" and pa.types.is_timestamp(values.type)):
        return values
    if kind == "int" and pa.types.is_floating(values.type):
        floats = values.to_pylist()
        whole = [None if x is None else str(int(x)) if x.is_integer() else repr(x) for x in floats]
        return pa.chunked_array([whole], STRING)
    return pa.chunked_array([text(chunk) for chunk in values.chunks], STRING)


def _write(filesystem: FileSystem, folder: str, rows: pa.Table, day: date, at: int) -> AddAction:
    """Write a day's file. It keeps the time `at` of the rows of before: deliveries may be younger."""
    from deltalake.transaction import AddAction

    path = f"date={day}/part-{uuid.uuid4()}.parquet"
    filesystem.create_dir(f"{folder}/date={day}")
    pq.write_table(rows, f"{folder}/{path}", filesystem=filesystem)
    size = filesystem.get_file_info(f"{folder}/{path}").size
    stats = json.dumps({"numRecords": rows.num_rows})
    return AddAction(path, size, {"date": day.isoformat()}, at, True, stats)


def _write_facts(store: Store, counts: Mapping[date, int], zone: str | None) -> None:
    """Write down of each day which delivery it still is, where that is known, and that its rows are others."""
    known, files = newest_facts(store, "observations"), file_digests(store, "observations")
    delivered = {day: known[str(day)].made_from["delivery"] for day in counts if str(day) in known}
    content = {day: content_digest(counts[day], int(files[str(day)], 16)) for day in delivered}
    if delivered:
        write_facts(store, day_facts(store, delivered, content, zone=zone))


def _changes(before: Mapping[str, pa.DataType], now: pa.Schema) -> list[str]:
    known = by_lower_case(before)
    other, added = [], []
    for field in now:
        name, kind = known.pop(field.name.lower(), (None, None))
        if name is None:
            added.append(f"{field.name}: new")
        elif name != field.name:
            other.append(f"{name}: now {field.name}" + (f", {kind} -> {field.type}" if kind != field.type else ""))
        elif kind != field.type:
            other.append(f"{name}: {kind} -> {field.type}")
    return [*other, *added, *(f"{name}: gone" for name, _ in known.values())]
