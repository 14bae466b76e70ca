"""A database as a source: a day has the rows that the declared statement gives between its bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from muster.ingest.formats.columns import check_columns
from muster.ingest.formats.driver_values import values_batch
from muster.ingest.formats.opened import BadContent
from muster.ingest.sources.database import BadDatabase, BadValue, DatabaseChanged, connected
from muster.ingest.sources.kind import Arrival, Part, PassedOver, RowBlock
from muster.ingest.sources.sql_times import Times
from muster.workload.column import ColumnType
from muster.workload.spec import Workload
from muster.workload.zone import today

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Executable, Subquery

    Answer = CursorResult[*tuple[Any, ...]]

BLOCK_ROWS = 20_000

COMPARED_AS: Mapping[ColumnType, type] = {"string": str, "int": int, "bool": bool, "date": date}
"""Types of keys, and what the driver gives of a column that the database surely compares with one as we do."""


class _Summary(NamedTuple):
    """What tells a day's delivery from another."""

    rows: int
    delivery: str
    since: datetime | None


@dataclass(frozen=True)
class SqlSource:
    """The answer of a database, day by day. Its address is in the environment of each process that reads it."""

    workload: Workload
    root: str

    @property
    def place(self) -> str:
        return self._name

    @property
    def part(self) -> str:
        return "SQL day"

    @property
    def named_as(self) -> str:
        return f"rows that 'source.sql' gives from '{self.workload.time}' of the day on"

    def days(self) -> set[date]:
        from sqlalchemy import func, select

        tomorrow = today(self.workload.zone) + timedelta(days=1)
        if self.workload.schedule.start >= tomorrow:
            return set()
        with connected(self._name, self.workload.zone) as connection:
            self._check(connection)
            day = func.date(self._rows.c[self.workload.time])
            asked = select(day).distinct()
            found = self._asked(connection, asked, self.workload.schedule.start, tomorrow).scalars().all()
        days = (date.fromisoformat(one[:10]) if isinstance(one, str) else one for one in found if one is not None)
        return {one.date() if isinstance(one, datetime) else one for one in days}

    def arrived(self, days: Collection[date]) -> dict[date, Arrival]:
        """See `Source.arrived`: what is there is complete; what comes later is another delivery.

        Each day is asked for by itself, as it is read: a statement may count or choose within its bounds.

        Raises:
            BadDatabase: when it does not answer, or the statement gives other columns than declared.
        """
        if not days:
            return {}
        with connected(self._name, self.workload.zone) as connection:
            self._check(connection)
            summaries = {day: self._summary(connection, day) for day in sorted(days)}
        part = Part(self._name, self.place)
        return {
            day: Arrival(day, (part,), summary.delivery, summary.since)
            for day, summary in summaries.items()
            if summary.rows
        }

    def read(self, arrival: Arrival) -> Iterator[RowBlock]:
        """See `Source.read`.

        Raises:
            DatabaseChanged: when the rows are not those that had arrived.
        """
        from sqlalchemy import select

        rows = 0
        with connected(self._name, self.workload.zone) as connection:
            expected = self._unchanged(connection, arrival)
            for block in self._blocks(connection, select(*self._columns), arrival):
                rows += block.rows.num_rows
                yield block
        if rows != expected:  # where the database knows no transaction that sees one state
            raise self._changed(arrival.day, f"{rows} rows were read")

    def read_group(self, arrival: Arrival, keys: Mapping[str, pa.Scalar]) -> Sequence[RowBlock] | None:
        """See `Source.read_group`: asked for by the keys, where their types say what the database compares.

        Not where rows of other groups may repeat one of the group: then all of the day are read.
        """
        from sqlalchemy import bindparam, select

        if not set(keys) <= set(self.workload.unique) or not all(value.is_valid for value in keys.values()):
            return None
        own = [
            self._rows.c[name] == bindparam(f"key_{number}", value.as_py())
            for number, (name, value) in enumerate(keys.items())
        ]
        try:
            with connected(self._name, self.workload.zone) as connection:
                self._unchanged(connection, arrival)
                if not self._compares(connection, arrival.day):
                    return None
                return list(self._blocks(connection, select(*self._columns).where(*own), arrival))
        except BadValue:  # a key that is none of the column's own type, as of an enum
            return None

    def undated(self) -> int:
        return 0

    def passed_over(self) -> PassedOver:
        return PassedOver()

    @property
    def _name(self) -> str:
        return str(self.workload.source.connection)

    @property
    def _times(self) -> Times:
        return Times(self.workload.zone)

    @cached_property
    def _rows(self) -> Subquery:
        """The statement, as what others select from; its end is a line's, as it may be a comment."""
        from sqlalchemy import column, text

        names = dict.fromkeys([*self.workload.columns, *filter(None, [self.workload.source.changed])])
        return text(f"{self.workload.source.sql}\n").columns(*map(column, names)).subquery("source_rows")

    @property
    def _columns(self) -> list[Any]:
        return [self._rows.c[name] for name in self.workload.columns]

    def _asked(self, connection: Connection, select: Executable, first: date, after: date) -> Answer:
        """Send a statement with the bounds of its days."""
        return connection.execute(select, self._times.bounds(connection, first, after))

    def _of_day(self, connection: Connection, select: Executable, day: date) -> Answer:
        return self._asked(connection, select, day, day + timedelta(days=1))

    def _check(self, connection: Connection) -> None:
        """Check the columns that the statement gives, and note whether its times are moments."""
        from sqlalchemy import false, literal_column, select

        asked: Executable = select(literal_column("*")).select_from(self._rows).where(false())
        result = self._of_day(connection, asked, self.workload.schedule.start)
        names, types, *_ = zip(*result.cursor.description, strict=True)
        result.close()
        self._times.note(connection, dict(zip(names, types, strict=True)).get(self.workload.time))
        try:
            check_columns(self.workload, names)
        except BadContent as error:
            raise BadDatabase(self._name, f"gives what {error}".replace("gives what has", "gives")) from error
        if (changed := self.workload.source.changed) and changed not in names:
            raise BadDatabase(self._name, f"gives no column '{changed}', which 'source.changed' names")

    def _summary(self, connection: Connection, day: date) -> _Summary:
        try:
            return self._asked_summary(connection, day)
        except (ValueError, OverflowError) as error:
            raise self._unreadable(day, error) from error

    def _asked_summary(self, connection: Connection, day: date) -> _Summary:
        from sqlalchemy import func, select

        changed, time, shown = self.workload.source.changed, self._rows.c[self.workload.time], self._times.shown
        if changed is None:
            rows, first, last = self._of_day(
                connection, select(func.count(), func.min(time), func.max(time)), day
            ).one()
            return _Summary(rows, f"{rows} rows, {self.workload.time} {shown(first)} to {shown(last)}", None)
        newest = func.max(self._rows.c[changed])
        rows, last = self._of_day(connection, select(func.count(), newest), day).one()
        since = self._times.in_utc(last) if isinstance(last, datetime) else None
        return _Summary(rows, f"{rows} rows, newest {changed} {shown(last)}", since)

    def _unchanged(self, connection: Connection, arrival: Arrival) -> int:
        """Return how many rows a day has, once it is sure that they are those that had arrived."""
        self._check(connection)
        summary = self._summary(connection, arrival.day)
        if summary.delivery != arrival.delivery:
            raise self._changed(arrival.day, f"it has {summary.delivery}")
        return summary.rows

    def _changed(self, day: date, problem: str) -> DatabaseChanged:
        return DatabaseChanged(self._name, f"has other rows of {day} than when the run began: {problem}")

    def _compares(self, connection: Connection, day: date) -> bool:
        """Tell by a row whether the database's own types of the keys are those that are declared."""
        from sqlalchemy import select

        if connection.dialect.name == "sqlite":  # whose columns have no types
            return False
        keys = [self._rows.c[name] for name in self.workload.keys]
        row = self._of_day(connection, select(*keys).limit(1), day).first() or ()
        kinds = [COMPARED_AS.get(self.workload.columns[name].type) for name in self.workload.keys]
        return [type(value) for value in row] == kinds

    def _blocks(self, connection: Connection, select: Executable, arrival: Arrival) -> Iterator[RowBlock]:
        try:
            streamed = select.execution_options(yield_per=BLOCK_ROWS)  # so the driver asks for as many at a time
            for rows in self._of_day(connection, streamed, arrival.day).partitions():
                yield RowBlock(values_batch(self.workload, rows), file=self._name)
        except BadContent as error:
            raise BadDatabase(self._name, str(error)) from error
        except (ValueError, OverflowError) as error:
            raise self._unreadable(arrival.day, error) from error

    def _unreadable(self, day: date, error: Exception) -> BadDatabase:
        return BadDatabase(self._name, f"has a value of {day} that its driver cannot read ({error})")
