"""Which rows of a table somebody wants to see, and in which order: as SQL of delta-rs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from muster import groups
from muster.errors import UnknownName, WrongArgument
from muster.storage.tables import TABLES
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows

OUTCOMES = {"state": ("trained", "skipped", "failed"), "verdict": ("promote", "hold", "reject")}
"""What a group's run may end with, by column: `state` is of the ledger, `verdict` of `decisions`."""
OUTCOMES_OF = {"state": "ledger", "verdict": "decisions"}
LATEST = (
    'NOT EXISTS (SELECT 1 FROM this AS later WHERE later."partition" = this."partition" AND '
    'later."group" = this."group" AND coalesce(later."attempt", 1) > coalesce(this."attempt", 1))'
)
"""Of a ledger's rows that of a group's latest attempt: it says how the group ended."""
OF_A_RUN = {"partition", "run", "group", "bucket"}
"""The columns of a table whose rows are a group's in one run: they have its state and verdict, if not as columns."""


class NotAGroup(WrongArgument):
    """Raised when a text cannot be a group of the workload."""

    def __init__(self, workload: Workload, text: str) -> None:
        keys = ",".join(workload.keys)
        super().__init__(
            f"'{text}' is no group of {workload.name}: write one value a key, as a CSV row: {keys}; "
            f"a value with a comma stands between double quotes"
        )


class NoGroups(WrongArgument):
    """Raised when the rows of some groups are read from a table that is not by group."""

    def __init__(self, table: str) -> None:
        super().__init__(f"the rows of '{table}' belong to no group; leave the group out")


class NoColumn(WrongArgument):
    """Raised when rows are chosen by what their table does not hold."""

    def __init__(self, table: str, column: str) -> None:
        having = ", ".join(name for name in ("ledger", "decisions") if name != table)
        super().__init__(f"the rows of '{table}' have no {column}; {having} may have it")


@dataclass(frozen=True)
class RowFilter:
    """Which rows, and in which order; what is None chooses nothing."""

    partition: str | None = None
    group: str | None = None
    prefix: str | None = None
    """What the group's text begins with."""
    state: str | None = None
    verdict: str | None = None
    reason: str | None = None
    """A part of the reason, in any case."""
    in_a_row: int | None = None
    """Only the last partition's rows, of groups whose rows were chosen in so many partitions, one after the other."""
    sort: str | None = None
    """The column to sort by; with `-` before it the largest first. Else the newest come first."""

    def tables(self, table: str) -> set[str]:
        """Return the tables that the query reads beside `table` itself, which it calls `this`."""
        return {OUTCOMES_OF[name] for name in OUTCOMES if getattr(self, name)} - {table}

    def query(self, workload: Workload, table: str, attempts: bool = False) -> str:
        """Return the query of the rows, in no order; `attempts`: the table has a row for each attempt of a group.

        Raises:
            UnknownName: for a state or verdict that there is not.
            NotAPartition, NotAGroup, NoGroups, NoColumn: when a filter can match nothing.
        """
        columns = TABLES[table].schema(workload).names
        where = [*self._of_group(workload, table, columns), *self._of_outcome(table, columns)]
        if attempts and self.state is not None and "state" in columns:
            where.append(LATEST)
        if self.in_a_row is None:
            return _select([*self._of_partition(workload, table), *where])
        if "partition" not in columns or "group" not in columns:
            raise NoColumn(table, "groups by partition")
        until = [] if self.partition is None else [f'"partition" <= {_text(_key(workload, self.partition))}']
        last = f'SELECT DISTINCT "partition" FROM this{_where(until)} ORDER BY 1 DESC LIMIT {self.in_a_row}'  # noqa: S608
        wanted = _select([*where, f'"partition" IN ({last})'])
        each = f'SELECT "group" FROM ({wanted}) GROUP BY 1 HAVING count(DISTINCT "partition") = {self.in_a_row}'  # noqa: S608
        newest = f'"partition" = (SELECT max("partition") FROM this{_where(until)})'  # noqa: S608
        return f'SELECT * FROM ({wanted}) WHERE {newest} AND "group" IN ({each})'  # noqa: S608 - all quoted

    def order(self, workload: Workload, table: str) -> str:
        """Return by what the rows are ordered.

        Raises:
            UnknownName: for a column that the table has not.
        """
        columns = TABLES[table].schema(workload).names
        then = [n for n in ("group", "algorithm", "time", workload.time, "row_id", "file", "row") if n in columns]
        by = [f'"{TABLES[table].newest}" DESC', *(f'"{name}"' for name in dict.fromkeys(then))]
        if self.sort:
            column = self.sort.removeprefix("-")
            if column not in columns:
                raise UnknownName(f"column of {table}", column, columns)
            by.insert(0, f'"{column}" {"DESC" if self.sort.startswith("-") else "ASC"} NULLS LAST')
        return ", ".join(by)

    def _of_partition(self, workload: Workload, table: str) -> Iterator[str]:
        if self.partition is None:
            return
        windows = partition_windows(workload, self.partition)
        if table == "provenance":  # of days of the slice, and of the slice
            yield f'"slice" >= {_text(str(windows.score.start))}'
            yield f'"slice" < {_text(str(windows.score.stop))}'
        elif TABLES[table].partitioned_by == ("date",):
            yield f"\"date\" >= DATE '{windows.score.start}'"
            yield f"\"date\" < DATE '{windows.score.stop}'"
        else:
            yield f'"partition" = {_text(windows.key)}'

    def _of_group(self, workload: Workload, table: str, columns: list[str]) -> Iterator[str]:
        if self.group is None and self.prefix is None:
            return
        if "group" not in columns:
            raise NoGroups(table)
        if self.prefix is not None:
            yield f'starts_with("group", {_text(self.prefix)})'
        if self.group is None:
            return
        try:
            matches = len(groups.values(self.group)) == len(workload.keys)
        except (csv.Error, StopIteration):
            matches = False
        if not matches:
            raise NotAGroup(workload, self.group)
        yield f'"group" = {_text(self.group)}'
        if "bucket" in TABLES[table].partitioned_by:
            yield f'"bucket" = {groups.bucket(self.group, workload.features.buckets)}'

    def _of_outcome(self, table: str, columns: list[str]) -> Iterator[str]:
        for name, known in OUTCOMES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value not in known:
                raise UnknownName(name, value, known)
            equal = f'"{name}" = {_text(value)}'
            if name in columns:
                yield equal
            elif set(columns) >= OF_A_RUN:
                same = " AND ".join(f'other."{key}" = this."{key}"' for key in ("partition", "run", "group"))
                yield f'EXISTS (SELECT 1 FROM "{OUTCOMES_OF[name]}" AS other WHERE {same} AND other.{equal})'  # noqa: S608
            else:
                raise NoColumn(table, name)
        if self.reason is not None:
            if "reason" not in columns:
                raise NoColumn(table, "reason")
            yield f'strpos(lower("reason"), lower({_text(self.reason)})) > 0'


def _key(workload: Workload, partition: str) -> str:
    return partition_windows(workload, partition).key


def _select(where: list[str]) -> str:
    return f"SELECT * FROM this{_where(where)}"  # noqa: S608 - all quoted


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _text(value: str) -> str:
    """Return `value` as an SQL string literal: doubling the quote is all that the dialect needs."""
    return "'" + value.replace("'", "''") + "'"
