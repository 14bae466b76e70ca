"""Which days are to be ingested: the partition's own, and earlier ones that no ingest has brought as they are now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from muster.context import Context, PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.arrivals import ingested_days
from muster.ingest.sources.kind import Arrival, Source, begun_without
from muster.ingest.sources.kinds import source_of
from muster.workload.windows import DateRange


class NoFile(MusterError):
    """Raised when days of the partition's own slice were not delivered."""

    retryable = True

    def __init__(self, days: Sequence[date], source: Source, begun: Sequence[Arrival] = ()) -> None:
        incomplete = begun_without(arrival.lacks for arrival in begun)
        super().__init__(
            f"no {source.part} for {bounded(days)} in '{source.place}'{source.passed_over()}{incomplete}; "
            "run ingest again once they are delivered"
        )


def due_arrivals(context: PartitionContext, without: Collection[date] = ()) -> list[Arrival]:
    """Return the days of the partition's slice, and the earlier ones it needs that no ingest has brought yet.

    What was delivered again since it was ingested has not been brought either. Days of the slice that have not come may
    be left out where they are among `without`: nobody waits for them any more, and a later partition brings them.

    Raises:
        NoFile: when another day of the slice has not arrived. Of earlier days, those that were never delivered are left
            out.
    """
    windows, source = context.windows, source_of(context)
    own = windows.score.days()
    earlier = DateRange(windows.observed.start, windows.score.start).days()
    arrived = source.arrived({*earlier, *own})
    complete = {day: arrival for day, arrival in arrived.items() if arrival.lacks is None}
    if missing := [day for day in own if day not in complete and day not in without]:
        raise NoFile(missing, source, [arrived[day] for day in missing if day in arrived])
    brought = not_brought(context, {day: complete[day] for day in earlier if day in complete})
    return [complete[day] for day in (*brought, *own) if day in complete]


def not_brought(context: Context, arrived: Mapping[date, Arrival]) -> list[date]:
    """Return those days that have `arrived` and that no ingest has brought as they are now, in order."""
    return sorted(arrived.keys() - ingested_days(context.store, arrived, context.workload.zone))


def has_rows(context: Context, arrival: Arrival) -> bool:
    """Return whether more has arrived for a day than headers.

    Raises:
        BadFile: when it cannot be taken.
    """
    return any(block.rows.num_rows or block.misfits for block in source_of(context).read(arrival))
