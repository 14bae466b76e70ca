"""Read the features table by bucket, straight from its files: so train, evaluate and score need no shuffle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from muster.context import Context
from muster.errors import MusterError
from muster.storage.delta import parquet_files
from muster.storage.store import TableVersion, table_id
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

if TYPE_CHECKING:
    from deltalake import DeltaTable


class NoFeatures(MusterError):
    """Raised when the features table holds nothing of the slices that a stage reads."""

    def __init__(self, workload: str, days: DateRange) -> None:
        super().__init__(
            f"{workload}: features hold no row from {days.start} up to {days.stop}; run ingest and features first"
        )


@dataclass(frozen=True)
class FeatureFiles:
    """The files of one Delta version of `features`, by bucket. Plain data: it travels to the executors."""

    version: int
    table: str
    """Delta's id of the table that it is a version of."""
    files: dict[int, list[str]]
    """Absolute paths or URIs, by bucket, in order of their slice."""
    rows: dict[int, int]
    """Rows of a bucket's files: its cost."""

    def of_buckets(self, buckets: Collection[int]) -> FeatureFiles:
        """Return the files of some buckets alone."""
        files = {bucket: paths for bucket, paths in self.files.items() if bucket in buckets}
        return FeatureFiles(self.version, self.table, files, {bucket: self.rows[bucket] for bucket in files})


def list_features(
    context: Context,
    days: DateRange,
    version: int | TableVersion | None = None,
    quiet: Callable[[], bool] = lambda: False,
) -> FeatureFiles:
    """List the files that hold rows of `days`, at `version` (the latest when None).

    `quiet` is asked only where there are none: whether nothing happened on these days.

    Raises:
        NoFeatures: when there are none, although something happened.
        NoSuchVersion: when the table has not that version, or is not the one that it is of.
    """
    workload, store = context.workload, context.store
    table = store.open("features", version)
    if table is None:
        raise NoFeatures(workload.name, days)
    files: dict[int, list[str]] = {}
    rows: dict[int, int] = {}
    for item in files_of(context, table, days):
        files.setdefault(item.bucket, []).append(item.path)
        rows[item.bucket] = rows.get(item.bucket, 0) + item.rows
    if not files and not quiet():
        raise NoFeatures(workload.name, days)
    return FeatureFiles(table.version(), table_id(table), files, rows)


class FeatureFile(NamedTuple):
    """A file of the table."""

    slice: str
    bucket: int
    path: str
    rows: int


def files_of(context: Context, table: DeltaTable, days: DateRange) -> Iterator[FeatureFile]:
    """Yield the files of the slices that hold rows of `days`, in order of their slice."""
    folder, every = context.store.table("features"), context.workload.schedule.every
    added = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for item in sorted(added, key=lambda item: (item["partition.partition"], item["path"])):
        first = item["partition.partition"]
        if days.start - timedelta(days=every) < date.fromisoformat(first) < days.stop:
            bucket = int(item["partition.bucket"])
            yield FeatureFile(first, bucket, f"{folder}/{item['path']}", int(item["num_records"]))


def last_days(context: Context) -> dict[date, date]:
    """Return of every slice that the table has, by its first day, the last day that it has a row of.

    The Delta log says it of each file; where it was written without these statistics, the file does.
    """
    table, folder = context.store.open("features"), context.store.table("features")
    if table is None:
        return {}
    added = pa.table(table.get_add_actions(flatten=True))
    needed = {"partition.partition", "path", "max.date"}
    last: dict[date, date] = {}
    for item in added.select([name for name in added.column_names if name in needed]).to_pylist():
        first = date.fromisoformat(item["partition.partition"])
        day = item.get("max.date") or _last_day(f"{folder}/{item['path']}")
        last[first] = max(day, last.get(first, day))
    return last


def _last_day(file: str) -> date:
    day: date = pc.max(parquet_files([file]).to_table(columns=["date"])["date"]).as_py()
    return day


def read_bucket(
    workload: Workload,
    files: Sequence[str],
    days: DateRange,
    columns: Iterable[str] | None = None,
    parents: bool = True,
    only: Collection[str] | None = None,
    keep: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
) -> pa.Table:
    """Read the rows of `days` from a bucket's `files`, sorted by group, time and row_id.

    Without `parents`, the rows that pool other groups' rows are left out (they must not be scored). `only` names the
    groups that are read; `keep` takes rows out of each batch before the next is read.
    """
    schema = features_schema(workload)
    schema = pa.schema([field for field in schema if field.name not in ("partition", "bucket")])
    within = (pc.field("date") >= days.start) & (pc.field("date") < days.stop)
    if not parents:
        within &= ~pc.field("parent")
    if only is not None:
        within &= pc.field("group").isin(sorted(only))
    names = list(dict.fromkeys([*(columns or schema.names), "group", "time", "row_id"]))
    scanner = parquet_files(files, schema).scanner(columns=names, filter=within)
    table = scanner.to_table() if keep is None else _kept(scanner, keep)
    return table.sort_by([("group", "ascending"), ("time", "ascending"), ("row_id", "ascending")])


def _kept(scanner: ds.Scanner, keep: Callable[[pa.RecordBatch], pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(map(keep, scanner.to_batches()), scanner.projected_schema)


def groups_of(workload: Workload, features: FeatureFiles, days: DateRange) -> set[str]:
    """Return the groups with a row of `days`, none that pool others' rows; read batch by batch, one column."""
    schema = pa.schema([field for field in features_schema(workload) if field.name in ("group", "date", "parent")])
    keep = (pc.field("date") >= days.start) & (pc.field("date") < days.stop) & ~pc.field("parent")
    names: set[str] = set()
    for files in features.files.values():
        for batch in parquet_files(files, schema).to_batches(columns=["group"], filter=keep):
            names.update(pc.unique(batch.column("group")).to_pylist())
    return names


def group_slices(table: pa.Table) -> list[tuple[str, int, int]]:
    """Return (group, start, stop) of each run of equal groups in a table sorted by group."""
    if table.num_rows == 0:
        return []
    encoded = table["group"].combine_chunks().dictionary_encode()
    codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    starts = [0, *((codes[1:] != codes[:-1]).nonzero()[0] + 1).tolist(), table.num_rows]
    return [(names[codes[start]], start, stop) for start, stop in pairwise(starts)]
