"""Which slices of `features` a partition has to build, and from which days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from muster.context import PartitionContext
from muster.errors import MusterError
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, slice_of

if TYPE_CHECKING:
    from deltalake import DeltaTable


class NoObservations(MusterError):
    """Raised when a slice is to be built of which nothing was ingested."""

    def __init__(self, workload: str, partition: str) -> None:
        super().__init__(f"{workload}: observations hold no day of the slice from {partition}; run ingest first")


class OtherFeatures(MusterError):
    """Raised when the table was laid out under another declaration: new slices would not fit the old ones."""

    def __init__(self, workload: Workload, differing: str, location: str) -> None:
        super().__init__(
            f"{workload.name}: the table of features has other {differing} than are declared now; "
            f"move '{location}' away, then run features again"
        )


@dataclass(frozen=True)
class Slices:
    """The slices to build, and the days that are read for them."""

    first_days: list[date]
    """The first day of each slice, in order: the values of `partition`."""
    days: DateRange
    observed: DateRange
    """`days` and the lookback before them."""


def slices_to_build(context: PartitionContext, quiet: bool = False) -> Slices:
    """Return the partition's own slice, and every earlier one of its windows that has observations but no features.

    `quiet`: nothing happened in the own slice, so it has no observations.

    Raises:
        NoObservations: when the own slice has none, and is not quiet.
        OtherFeatures: when the table has other columns, or a bucket that is not declared any more.
    """
    workload, store, windows = context.workload, context.store, context.windows
    observed = {slice_of(workload, day) for day in store.days("observations")}
    if windows.partition not in observed and not quiet:
        raise NoObservations(workload.name, context.partition)
    table = store.open("features")
    if table is not None:
        _check_layout(workload, table, store.table("features"))
    built = {date.fromisoformat(values["partition"]) for values in table.partitions()} if table else set()
    earlier = {day for day in observed if windows.history.start <= day < windows.partition}
    first_days = [*sorted(earlier - built), windows.partition]
    days = DateRange(first_days[0], windows.score.stop)
    return Slices(first_days, days, DateRange(days.start - timedelta(days=workload.features.lookback), days.stop))


def _check_layout(workload: Workload, table: DeltaTable, location: str) -> None:
    if {field.name for field in table.schema().fields} != set(features_schema(workload).names):
        raise OtherFeatures(workload, "columns", location)
    if any(int(values["bucket"]) >= workload.features.buckets for values in table.partitions()):
        raise OtherFeatures(workload, "buckets", location)
