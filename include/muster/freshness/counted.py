"""The rows and groups of what has arrived: of its columns only keys and time are read, and no row is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import Context
from muster.errors import MusterError, reason_of
from muster.ingest.names import names
from muster.ingest.row_checks import own_reasons, typed_columns
from muster.ingest.sources.kind import Arrival
from muster.ingest.sources.kinds import source_of
from muster.workload.outcome import Outcome, Unlabelled
from muster.workload.spec import Workload
from muster.workload.zone import EPOCH


@dataclass
class Counted:
    """What the arrivals of some days hold."""

    rows: dict[date, int] = field(default_factory=dict)
    """Day -> its rows whose keys and time read as declared, and whose time is on it; other checks are ingest's."""
    groups: set[str] = field(default_factory=set)
    newest: datetime | None = None
    """The newest event time of them, in UTC."""
    unreadable: dict[date, str] = field(default_factory=dict)
    """Days that cannot be taken, and why: cut off, or of other columns."""


def count_rows_and_groups(context: Context, arrivals: Mapping[date, Arrival]) -> Counted:
    """Count what has arrived, day by day, block by block.

    Raises:
        MusterError: when a day is not what it was when it was asked about, or the source does not answer: `retryable`.
        OSError: when the system does not give it.
    """
    counted = Counted()
    for day, arrival in arrivals.items():
        try:
            _count_day(_of_keys(context), day, arrival, counted)
        except MusterError as error:
            if error.retryable:
                raise
            counted.rows.pop(day, None)
            counted.unreadable[day] = reason_of(error)
    return counted


def _of_keys(context: Context) -> Context:
    """Return the context as if its keys and its time were all that is declared."""
    workload = context.workload
    read = {name: workload.columns[name] for name in (*workload.keys, workload.time)}
    narrow: Workload = workload.model_copy(
        update={
            "columns": read,
            "source": workload.source.model_copy(update={"extra": "ignore"}),
            "outcome": Outcome(none=Unlabelled()),
            "unique": (),
            "rules": {},
            "weight": None,
        }
    )
    return Context(narrow, context.folder, context.store)


def _count_day(context: Context, day: date, arrival: Arrival, counted: Counted) -> None:
    workload = context.workload
    counted.rows[day] = 0
    for block in source_of(context).read(arrival):
        values = typed_columns(workload, block.rows)
        good = pc.is_null(own_reasons(workload, day, block.rows, values))
        times = values[workload.time].filter(good)
        counted.rows[day] += len(times)
        groups = names([values[key] for key in workload.keys]).filter(good)
        counted.groups.update(groups.unique().to_pylist())
        newest = pc.max(times.cast(pa.int64())).as_py()
        if newest is not None:
            moment = EPOCH + timedelta(microseconds=newest)
            counted.newest = max(moment, counted.newest or moment)
