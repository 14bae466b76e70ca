"""Partitions between that no run has brought: an outage or a pause left them out, or they failed."""

from __future__ import annotations

from datetime import date, timedelta

from muster.context import PartitionContext
from muster.storage.results import stage_results


def left_out(context: PartitionContext) -> list[str]:
    """Return the partitions of this one's windows that were never ingested, since the first ever that was, in order.

    What is older no stage needs any more: an old partition that somebody ran by hand asks for no years between.
    None for a workload with neither a cron nor `arrivals`: which partitions it runs is up to whoever triggers them.
    """
    schedule, store = context.workload.schedule, context.store
    if schedule.cron is None and context.workload.arrivals is None:
        return []
    ended = {result.partition for result in stage_results(store, "ingest")}
    ingested = {partition for partition in ended if partition < context.partition}
    if not ingested:
        return []
    first = max(date.fromisoformat(min(ingested)), context.windows.history.start)
    slices = range(0, (context.windows.partition - first).days, schedule.every)
    return [name for days in slices if (name := str(first + timedelta(days=days))) not in ingested]
