"""What the log of a source's table says: its files, the days that each may have rows of, what else may change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from muster.ingest.clocks import days_of
from muster.workload.spec import Workload
from muster.workload.zone import A_DAY, EPOCH

if TYPE_CHECKING:
    from deltalake import DeltaTable

PHYSICAL_NAME = "delta.columnMapping.physicalName"
"""Where the log of a table whose columns were renamed says under which name it knows one."""


@dataclass(frozen=True)
class TableFile:
    """A file of the table."""

    path: str
    bytes: int
    at: int
    """When it was written, in milliseconds since 1970."""
    first: int | None
    last: int | None
    """The days of its earliest and latest row, since 1970, in the workload's zone; None where the log does not say."""
    undated: bool
    """Whether none of its rows has a time."""

    def may_have(self, day: date) -> bool:
        if self.undated:
            return False
        return self.first is None or self.last is None or self.first <= (day - EPOCH.date()).days <= self.last


def _known_as(table: DeltaTable, name: str) -> str:
    """Return by which name the table's files and log know a column: another where it was renamed."""
    [field] = [field for field in table.schema().fields if field.name == name]
    return str(field.metadata.get(PHYSICAL_NAME, name))


def about(table: DeltaTable, workload: Workload) -> str:
    """Return what may change a day's rows, though its files and their number stay: other columns under the names, and
    deletions beside the files, of which the log tells delta-rs no more than in which version something was deleted."""
    names = [_known_as(table, name) for name in workload.columns]
    parts = [] if names == list(workload.columns) else names
    if "deletionVectors" in (table.protocol().reader_features or ()):
        changes = (commit["version"] for commit in table.history() if not _only_adds(commit))
        parts.append(f"changed in version {max(changes, default=None)}")
    return " ".join(parts)


def _only_adds(commit: dict[str, Any]) -> bool:
    mode = str(commit.get("operationParameters", {}).get("mode", "")).strip('"').lower()
    return commit.get("operation") == "STREAMING UPDATE" or (commit.get("operation") == "WRITE" and mode == "append")


def files_of(table: DeltaTable, workload: Workload) -> list[TableFile]:
    """Return the table's files, each with the days that it may have rows of."""
    listed, time = pa.table(table.get_add_actions(flatten=True)), _known_as(table, workload.time)
    zone = workload.zone if has_zone(table, workload.time) else None
    ends = [_days(listed, zone, f"{end}.{time}", f"partition.{time}") for end in ("min", "max")]
    nulls, rows = (_numbers(listed, name) for name in (f"null_count.{time}", "num_records"))
    undated = [null is not None and null == count and count > 0 for null, count in zip(nulls, rows, strict=True)]
    known = (listed[name].to_pylist() for name in ("path", "size_bytes", "modification_time"))
    return [TableFile(*values) for values in zip(*known, *ends, undated, strict=True)]


def _numbers(files: pa.Table, *names: str) -> list[Any]:
    name = next((name for name in names if name in files.column_names), None)
    return [None] * files.num_rows if name is None else files[name].to_pylist()


def has_zone(table: DeltaTable, name: str) -> bool:
    """Return whether a column has moments, not what clocks show, nor dates."""
    kind = pa.schema(table.schema().to_arrow()).field(name).type
    return bool(types.is_timestamp(kind) and kind.tz)


def _days(files: pa.Table, zone: str | None, *names: str) -> list[int | None]:
    """Return days since 1970, in UTC without a zone, of years that Python does not know too."""
    name = next((name for name in names if name in files.column_names), None)
    if name is None:
        return [None] * files.num_rows
    ends = files[name]
    if types.is_date(ends.type):
        return list(ends.cast(pa.date32()).cast(pa.int32()).to_pylist())
    moments = ends.cast(pa.timestamp("us", ends.type.tz)).cast(pa.int64()).to_pylist()
    if zone is None:
        return [None if moment is None else moment // A_DAY for moment in moments]
    known = np.array([moment for moment in moments if moment is not None], np.int64)
    days = iter(days_of(known, zone).tolist())
    return [None if moment is None else next(days) for moment in moments]
