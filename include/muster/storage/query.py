"""Rows of any table, newest first, read without Spark: filter, order and limit run within delta-rs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from muster.errors import MusterError, UnknownName
from muster.storage.row_filter import RowFilter
from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.workload.spec import Workload


class NotWritten(MusterError):
    """Raised when a table is read that no stage has written yet."""

    def __init__(self, workload: str, table: str) -> None:
        super().__init__(f"{workload} has no table '{table}' yet: its stage '{TABLES[table].written_by}' writes it")


@dataclass(frozen=True)
class Rows:
    """The rows that were read, times in UTC without a zone, and how many there are without the limit."""

    table: pa.Table
    total: int

    def records(self) -> Iterator[dict[str, Any]]:
        """Return row by row the columns' values."""
        for batch in self.table.to_batches():
            yield from batch.to_pylist()


def read_rows(
    workload: Workload, store: Store, table: str, wanted: RowFilter | None = None, limit: int | None = None
) -> Rows:
    """Read the rows of `table` that are wanted, at most `limit`; the newest come first unless they are sorted.

    Raises:
        UnknownName: when there is no such table, or what `RowFilter` raises it for.
        NotAPartition, NotAGroup, NoGroups, NoColumn: when a filter can match nothing.
        NotWritten: when no stage has written a table yet that is read; one that has run and had no row for it, has.
    """
    from deltalake import QueryBuilder

    if table not in TABLES:
        raise UnknownName("table", table, TABLES)
    wanted = wanted or RowFilter()
    this = store.open(table)
    attempts = this is not None and any(field.name == "attempt" for field in this.schema().fields)
    chosen, order = wanted.query(workload, table, attempts), wanted.order(workload, table)
    query = QueryBuilder()
    for name, read in {"this": table, **{other: other for other in wanted.tables(table)}}.items():
        delta = this if read == table else store.open(read)
        if delta is None and read == table and _others_of_its_stage(store, table):
            return Rows(_without_zone(TABLES[table].schema(workload).empty_table()), 0)
        if delta is None:
            raise NotWritten(workload.name, read)
        query = query.register(name, delta)

    def run(select: str, tail: str = "") -> pa.Table:
        sql = f"SELECT {select} FROM ({chosen}) {tail}"  # noqa: S608 - all quoted
        return _without_zone(pa.RecordBatchReader.from_stream(query.execute(sql)).read_all())

    cut = "" if limit is None else f"LIMIT {int(limit)}"
    rows = run("*", f"ORDER BY {order} {cut}")
    total = rows.num_rows if limit is None or rows.num_rows < limit else run("count(*)")[0][0].as_py()
    return Rows(rows, total)


def _others_of_its_stage(store: Store, table: str) -> bool:
    """Tell whether another table of the stage that writes this one is there: the stage has run."""
    stage = TABLES[table].written_by
    others = (name for name, other in TABLES.items() if other.written_by == stage and name != table)
    return any(store.open(name) is not None for name in others)


def group_names(store: Store, table: str) -> list[str]:
    """Return the groups that a table has any row of."""
    from deltalake import QueryBuilder

    delta = store.open(table)
    if delta is None:
        return []
    query = (
        QueryBuilder().register("this", delta).execute('SELECT DISTINCT "group" FROM this WHERE "group" IS NOT NULL')
    )
    names: list[str] = pa.RecordBatchReader.from_stream(query).read_all()["group"].to_pylist()
    return names


def _without_zone(table: pa.Table) -> pa.Table:
    """Return `table` with plain times: reading one that has a zone makes pyarrow import pandas, a whole second."""
    zoned = [n for n, field in enumerate(table.schema) if pa.types.is_timestamp(field.type) and field.type.tz]
    for number in zoned:
        plain = table.column(number).cast(pa.timestamp("us"))
        table = table.set_column(number, table.field(number).with_type(plain.type), plain)
    return table
