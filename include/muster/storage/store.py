"""Where a workload's tables, landed files, packs and results are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from muster.errors import MusterError
from muster.storage.files import Files
from muster.storage.object_store import of_the_system, shown_cause

if TYPE_CHECKING:
    from deltalake import DeltaTable


READABLE_FEATURES = frozenset({"timestampNtz"})
"""What a table's protocol may ask of readers: nothing else is done by whoever reads a table's files."""


class UnreadableTable(MusterError):
    """Raised when a table has a feature that reading its files would pass over: deleted rows would be there again."""

    def __init__(self, location: str, features: Iterable[str]) -> None:
        table = f"delta.`{location}`"
        names = sorted(features)
        cures = "; ".join([*(CURES[name].format(table=table) for name in names if name in CURES)])
        drops = "; ".join(f"ALTER TABLE {table} DROP FEATURE {name}" for name in names)
        super().__init__(
            f"the table '{location}' has {' and '.join(names)}, which Muster does not read: it reads a table's files, "
            f"and deleted rows would be there, renamed columns empty; take it back in Spark SQL: "
            f"{f'{cures}; ' if cures else ''}{drops}"
        )


class NoSuchVersion(MusterError):
    """Raised when a table has not the version that is asked for: it is another table, or keeps that one no more."""

    def __init__(self, location: str, number: int, why: str) -> None:
        super().__init__(f"version {number} of the table '{location}' is not there any more: {why}")


class TableVersion(NamedTuple):
    """A version of a Delta table, and of which: one that takes another's place counts from 0 again."""

    number: int
    table: str | None = None
    """Delta's id of the table; None where nobody wrote it down."""


CURES = {
    "columnMapping": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')",
    "deletionVectors": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = false)",
    "typeWidening": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableTypeWidening' = false)",
    "v2Checkpoint": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.checkpointPolicy' = 'classic')",
}
"""What to set before a feature of that name can be dropped."""


def check_readable(table: DeltaTable, location: str) -> None:
    """Check that a table's rows are those of its files, all of them, under their own names.

    Raises:
        UnreadableTable: naming the features that say otherwise.
    """
    asked = set(table.protocol().reader_features or ())
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        asked.add("columnMapping")
    if unreadable := asked - READABLE_FEATURES:
        raise UnreadableTable(location, unreadable)


@dataclass(frozen=True)
class Store:
    """The folder (or object store prefix) of one workload's data."""

    root: str
    workload: str

    def table(self, name: str) -> str:
        """Return the path or URI of the Delta table `name`."""
        return self.uri(f"{self.tables}/{name}")

    @property
    def files(self) -> Files:
        """All files below the root; the paths that follow are theirs."""
        return Files(self.root)

    @property
    def tables(self) -> str:
        """The folder of the Delta tables, below the root."""
        return f"tables/{self.workload}"

    @property
    def landing(self) -> str:
        """The folder that files are delivered to, below the root."""
        return f"landing/{self.workload}"

    @property
    def packs(self) -> str:
        """The folder of shards and of champion packs, below the root."""
        return f"packs/{self.workload}"

    @property
    def all_results(self) -> str:
        """The folder of all stages' result files, below the root."""
        return f"results/{self.workload}"

    def results(self, stage: str) -> str:
        """Return the folder of a stage's result files, below the root."""
        return f"{self.all_results}/{stage}"

    def uri(self, path: str) -> str:
        """Return where a path below the root is, for whoever is not of the store: a path, or a URI."""
        return f"{self.root}/{path}"

    def open(self, name: str, version: int | TableVersion | None = None) -> DeltaTable | None:
        """Open the Delta table `name` with delta-rs, or return None when nothing was written to it yet.

        The one place where tables are opened outside Spark.

        Raises:
            UnreadableTable: when its files alone do not say which rows it has, or which columns.
            NoSuchVersion: when it has not that version, or is not the table that it is of.
            NotAvailable: when an object store does not give it.
        """
        from deltalake import DeltaTable

        location = self.table(name)
        try:
            if not DeltaTable.is_deltatable(location):
                return None
            if version is None:
                table = DeltaTable(location)
            else:
                table = _at_version(location, TableVersion(version) if isinstance(version, int) else version)
        except OSError as error:
            if self.files.is_folder:
                raise
            raise of_the_system(location, error) from shown_cause(error)
        check_readable(table, location)
        return table

    def days(self, name: str) -> set[date]:
        """Return the days that a table partitioned by `date` holds rows of."""
        table = self.open(name)
        return {date.fromisoformat(values["date"]) for values in table.partitions()} if table else set()


def table_id(table: DeltaTable) -> str:
    """Return Delta's id of a table: the same for all its versions, another for what takes its place."""
    return str(table.metadata().id)


def _at_version(location: str, version: TableVersion) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(location, version=version.number)
    except DeltaError as error:
        latest = DeltaTable(location).version()
        raise NoSuchVersion(location, version.number, f"the table is at version {latest}") from error
    if version.table not in (None, table_id(table)):
        raise NoSuchVersion(location, version.number, "another table has taken its place")
    return table
