"""A Delta table as a source: a day has the rows whose time is on it, and all days are of one version."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import types

from muster.errors import MusterError
from muster.ingest.clocks import FIRST_SECOND, dates_of
from muster.ingest.formats.columns import check_columns
from muster.ingest.formats.opened import BadContent
from muster.ingest.formats.typed_columns import check_types, declared
from muster.ingest.sources.catalog import Located, located
from muster.ingest.sources.kind import Arrival, Part, PassedOver, RowBlock
from muster.ingest.sources.places import is_folder
from muster.ingest.sources.table_log import TableFile, about, files_of, has_zone
from muster.settings.places import below_root, scheme_of
from muster.storage.object_store import NotAllowed, NotAvailable, of_the_system, redacted, shown_cause
from muster.storage.store import CURES, TableVersion, table_id
from muster.workload.source import is_catalog_name
from muster.workload.spec import Workload
from muster.workload.zone import EPOCH, day_range

if TYPE_CHECKING:
    from deltalake import DeltaTable

WIDER = "typeWidening"
"""What delta-rs does not read."""


class BadTable(MusterError):
    """Raised when a source's table cannot be taken."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"the source's table '{place}' {problem}")


class TableChanged(BadTable):
    """Raised when the version that a run began with cannot be read any more: it was vacuumed, or the table replaced."""

    retryable = True

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, f"{problem}; run ingest again")


@dataclass(frozen=True)
class TableSource:
    """A Delta table, whoever writes it; a relative path is below the store's root.

    DataFusion reads it, as delta-rs brings it: that knows deleted rows and renamed columns, which whoever reads a
    table's files does not.
    """

    workload: Workload
    root: str

    @property
    def place(self) -> str:
        table = str(self.workload.source.table)
        return table if is_catalog_name(table) else below_root(self.root, table)

    @property
    def part(self) -> str:
        return "table day"

    @property
    def named_as(self) -> str:
        return f"rows whose '{self.workload.time}' is on it"

    def days(self) -> set[date]:
        table = self._opened()
        if table is None:
            return set()
        if self._counted_here(table):
            return set(self._counts(table, self._dated(table)))
        return {row["day"] for row in self._rows(table, f"DISTINCT {self._day} AS day", self._dated(table))}

    def arrived(self, days: Collection[date]) -> dict[date, Arrival]:
        """See `Source.arrived`: what is there is complete; what comes later is another delivery.

        Raises:
            BadTable: when it has other columns or types than declared, or what delta-rs does not read.
        """
        table = self._opened()
        if table is None or not days:
            return {}
        files, within = files_of(table, self.workload), self._between(table, min(days), max(days))
        if self._counted_here(table):
            rows_of = self._counts(table, within)
        else:
            counts = self._rows(table, f"{self._day} AS day, count(*) AS rows", f"{within} GROUP BY 1")
            rows_of = {row["day"]: row["rows"] for row in counts}
        known = about(table, self.workload)
        return {day: self._arrival(day, rows_of[day], files, table, known) for day in sorted(rows_of.keys() & days)}

    def read(self, arrival: Arrival) -> Iterator[RowBlock]:
        columns = ", ".join(map(_quoted, self.workload.columns))
        for part in arrival.parts:
            table = self._opened(part.version)
            assert table is not None  # noqa: S101 - for the type: a version is there, or it is told that it is not
            for batch in self._batches(table, columns, self._between(table, arrival.day, arrival.day)):
                try:
                    yield RowBlock(declared(self.workload, batch), file=part.name)
                except BadContent as error:
                    raise BadTable(part.place, str(error)) from error

    def read_group(self, arrival: Arrival, keys: Mapping[str, pa.Scalar]) -> None:
        return None

    def undated(self) -> int:
        table = self._opened()
        if table is None:
            return 0
        counted = self._rows(table, "count(*) AS rows", f"{self._time} IS NULL OR NOT ({self._dated(table)})")
        return sum(row["rows"] for row in counted)

    def passed_over(self) -> PassedOver:
        return PassedOver(missing="table of that name" if self._opened() is None else "")

    def _opened(self, version: TableVersion | None = None) -> DeltaTable | None:
        """Open the table, None where there is none, and check its columns."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            where = _where(self.place)
            if version is not None:
                table = _at(self.place, where, version)
            elif where is None:
                return None
            elif DeltaTable.is_deltatable(where.uri, dict(where.options)):
                table = DeltaTable(where.uri, storage_options=dict(where.options))
            elif is_catalog_name(self.place) or is_folder(self.place) is not None:
                raise BadTable(self.place, "is no Delta table: there is no '_delta_log' in it")
            else:
                return None
            columns = _columns(table)
            check_columns(self.workload, columns.names)
            check_types(self.workload, columns)
        except (DeltaError, OSError) as error:
            raise self._unread(error) from shown_cause(error)
        except BadContent as error:
            raise BadTable(self.place, str(error)) from error
        time = columns.field(self.workload.time).type
        if not (types.is_timestamp(time) or types.is_date(time)):
            told = "by which no day can be told: make it a timestamp or a date"
            raise BadTable(self.place, f"has '{self.workload.time}' as {time}, {told}")
        return table

    @property
    def _time(self) -> str:
        return _quoted(self.workload.time)

    @property
    def _day(self) -> str:
        """SQL of a row's day: as the time shows it, in UTC where it has a zone."""
        return f"CAST({self._time} AS DATE)"

    def _counted_here(self, table: DeltaTable) -> bool:
        """Return whether days begin by the clocks of a zone: DataFusion has rules of its own, maybe of another year."""
        return self.workload.zone is not None and has_zone(table, self.workload.time)

    def _counts(self, table: DeltaTable, where: str) -> dict[date, int]:
        """Return how many rows there are of each day of the zone; only the column of times is read for it."""
        counts = Counter[date]()
        for batch in self._batches(table, self._time, where):
            days = dates_of(batch.column(0), str(self.workload.zone)).value_counts().to_pylist()
            counts.update({item["values"]: item["counts"] for item in days})
        return dict(counts)

    def _between(self, table: DeltaTable, first: date, last: date) -> str:
        """Return SQL for the rows of some days, in a form by which files are left out."""
        time = _columns(table).field(self.workload.time).type
        if types.is_date(time):
            return f"{self._time} >= DATE '{first}' AND {self._time} < DATE '{last + timedelta(days=1)}'"
        zone = f'Some("{time.tz}")' if time.tz else "None"
        # What has no zone shows the clocks' own midnights.
        ends = day_range(self.workload.zone if time.tz else None, first, last)
        # As a plain literal it would be of nanoseconds, which reach from 1677 to 2262.
        since, until = (f"arrow_cast('{_written(end)}', 'Timestamp(Microsecond, {zone})')" for end in ends)
        return f"{self._time} >= {since} AND {self._time} < {until}"

    def _dated(self, table: DeltaTable) -> str:
        """Return SQL for the rows of a day that there is, of the years 1 to 9999."""
        return self._between(table, date.min, date.max - timedelta(days=1))

    def _rows(self, table: DeltaTable, select: str, where: str) -> list[dict[str, Any]]:
        return [row for batch in self._batches(table, select, where) for row in batch.to_pylist()]

    def _batches(self, table: DeltaTable, select: str, where: str) -> Iterator[pa.RecordBatch]:
        from deltalake import QueryBuilder
        from deltalake.exceptions import DeltaError

        sql = f"SELECT {select} FROM source WHERE {where}"  # noqa: S608 - all quoted
        try:
            query = QueryBuilder().register("source", table).execute(sql)
            yield from pa.RecordBatchReader.from_stream(query)
        except (DeltaError, pa.ArrowException, OSError) as error:
            if WIDER in (table.protocol().reader_features or ()):
                raise BadTable(self.place, _cure(table)) from error
            raise self._unread(error) from shown_cause(error)

    def _unread(self, error: Exception) -> BadTable:
        """Return why the table cannot be read: for good, or as it was a moment ago."""
        if (is_catalog_name(self.place) or scheme_of(self.place) is not None) and isinstance(error, OSError):
            told = error if isinstance(error, NotAvailable) else of_the_system(self.place, error)
            if isinstance(told, NotAllowed):
                return BadTable(self.place, f"cannot be read: {told}")
            return TableChanged(self.place, f"cannot be read: {told}")
        return TableChanged(self.place, f"cannot be read ({_first_line(error)})")

    def _arrival(self, day: date, rows: int, files: Sequence[TableFile], table: DeltaTable, known: str) -> Arrival:
        own = sorted((file for file in files if file.may_have(day)), key=lambda file: file.path)
        text = "\n".join([known, *(f"{file.path} {file.bytes}" for file in own)])
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        since = datetime.fromtimestamp(max(file.at for file in own) / 1000, UTC) if own else None
        version = TableVersion(table.version(), table_id(table))
        part = Part(f"{self.place.rpartition('/')[2]}, version {version.number}", self.place, version)
        unsure = any(file.first is None for file in own)  # without statistics, it may be of any day
        settles_by = f"{rows} rows {known}" if unsure else None
        return Arrival(day, (part,), f"{rows} rows of {len(own)} files, {digest}", since, settles_by=settles_by)


def _where(place: str) -> Located | None:
    """Return where a table is; None where a catalog has none of the name."""
    return located(place) if is_catalog_name(place) else Located(place)


@lru_cache(maxsize=2)  # a task reads many days of one version, and each opening reads the table's log
def _at(place: str, where: Located | None, version: TableVersion) -> DeltaTable:
    """Open a version of a table.

    Raises:
        TableChanged: when another table has taken its place, or none.
    """
    from deltalake import DeltaTable

    if where is None or not DeltaTable.is_deltatable(where.uri, dict(where.options)):
        raise TableChanged(place, "is not there any more")
    table = DeltaTable(where.uri, version=version.number, storage_options=dict(where.options))
    if table_id(table) != version.table:
        raise TableChanged(place, "is another one than when the run began")
    return table


def _columns(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _written(moment: int) -> str:
    """Return a moment in UTC, as SQL has it; the first that there is where the year is none."""
    at = EPOCH + timedelta(microseconds=moment) if moment >= FIRST_SECOND * 10**6 else datetime.min
    return at.replace(tzinfo=None).isoformat()


def _first_line(error: BaseException) -> str:
    """Return what an error says, without the backtraces and colours that may follow."""
    first, *_ = [*re.sub(r"\x1b\[[0-9;]*m", "", redacted(str(error))).strip().splitlines(), type(error).__name__]
    return first[:300]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cure(table: DeltaTable) -> str:
    """Return why a table with wider types is refused, and what takes them back."""
    name = f"delta.`{table.table_uri}`"
    cures = f"{CURES[WIDER].format(table=name)}; ALTER TABLE {name} DROP FEATURE {WIDER}"
    return f"has {WIDER}, which is not read; take it back in Spark SQL: {cures}"
