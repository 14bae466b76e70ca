"""Rows of any table, newest first, read without Spark: filter, order and limit run within delta-rs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from muster import groups
from muster.errors import MusterError, UnknownName, WrongArgument
from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows


class NotWritten(MusterError):
    """Raised when a table is read that no stage has written yet."""

    def __init__(self, workload: str, table: str) -> None:
        super().__init__(f"{workload} has no table '{table}' yet: its stage '{TABLES[table].written_by}' writes it")


class NotAGroup(WrongArgument):
    """Raised when a text cannot be a group of the workload."""

    def __init__(self, workload: Workload, text: str) -> None:
        keys = ",".join(workload.keys)
        super().__init__(f"'{text}' is no group of {workload.name}: write one value a key, as a CSV row: {keys}")


class NoGroups(WrongArgument):
    """Raised when the rows of one group are read from a table that is not by group."""

    def __init__(self, table: str) -> None:
        super().__init__(f"the rows of '{table}' belong to no group; leave the group out")


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
    workload: Workload,
    store: Store,
    table: str,
    partition: str | None = None,
    group: str | None = None,
    limit: int | None = None,
) -> Rows:
    """Read the newest rows of `table`: those of a partition (or of the days of its slice), of a group, at most `limit`.

    Raises:
        UnknownName: when there is no such table.
        NotAPartition, NotAGroup, NoGroups: when a filter can match nothing.
        NotWritten: when no stage has written the table yet.
    """
    from deltalake import QueryBuilder

    if table not in TABLES:
        raise UnknownName("table", table, TABLES)
    columns = TABLES[table].schema(workload).names
    where = [*_of_partition(workload, table, partition), *_of_group(workload, table, columns, group)]
    delta = store.open(table)
    if delta is None:
        raise NotWritten(workload.name, table)
    query = QueryBuilder().register("rows", delta)

    def run(select: str, tail: str = "") -> pa.Table:
        sql = f"SELECT {select} FROM rows WHERE {' AND '.join(['true', *where])} {tail}"  # noqa: S608 - all quoted
        return _without_zone(pa.RecordBatchReader.from_stream(query.execute(sql)).read_all())

    cut = "" if limit is None else f"LIMIT {int(limit)}"
    rows = run("*", f"ORDER BY {_order(workload, table, columns)} {cut}")
    total = rows.num_rows if limit is None or rows.num_rows < limit else run("count(*)")[0][0].as_py()
    return Rows(rows, total)


def _without_zone(table: pa.Table) -> pa.Table:
    """Return `table` with plain times: reading one that has a zone makes pyarrow import pandas, a whole second."""
    zoned = [n for n, field in enumerate(table.schema) if pa.types.is_timestamp(field.type) and field.type.tz]
    for number in zoned:
        plain = table.column(number).cast(pa.timestamp("us"))
        table = table.set_column(number, table.field(number).with_type(plain.type), plain)
    return table


def _of_partition(workload: Workload, table: str, partition: str | None) -> list[str]:
    if partition is None:
        return []
    windows = partition_windows(workload, partition)
    if table == "provenance":  # of days of the slice, and of the slice
        return [f'"slice" >= {_text(str(windows.score.start))}', f'"slice" < {_text(str(windows.score.stop))}']
    if TABLES[table].partitioned_by == ("date",):
        return [f"\"date\" >= DATE '{windows.score.start}'", f"\"date\" < DATE '{windows.score.stop}'"]
    return [f'"partition" = {_text(windows.key)}']


def _of_group(workload: Workload, table: str, columns: list[str], group: str | None) -> list[str]:
    if group is None:
        return []
    if "group" not in columns:
        raise NoGroups(table)
    try:
        matches = len(groups.values(group)) == len(workload.keys)
    except (csv.Error, StopIteration):
        matches = False
    if not matches:
        raise NotAGroup(workload, group)
    where = [f'"group" = {_text(group)}']
    if "bucket" in TABLES[table].partitioned_by:
        where.append(f'"bucket" = {groups.bucket(group, workload.features.buckets)}')
    return where


def _order(workload: Workload, table: str, columns: list[str]) -> str:
    then = [name for name in ("group", "algorithm", "time", workload.time, "row_id", "file", "row") if name in columns]
    return ", ".join([f'"{TABLES[table].newest}" DESC', *(f'"{name}"' for name in dict.fromkeys(then))])


def _text(value: str) -> str:
    """Return `value` as an SQL string literal: doubling the quote is all that the dialect needs."""
    return "'" + value.replace("'", "''") + "'"
