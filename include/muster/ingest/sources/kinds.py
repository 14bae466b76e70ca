"""The kind of a workload's source: a new one is one more line here, and in `workload.source`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from muster.context import Context
from muster.ingest.sources.files import FileSource
from muster.ingest.sources.kind import Arrival, Source
from muster.ingest.sources.sql import SqlSource
from muster.ingest.sources.table import TableSource


def source_of(context: Context) -> Source:
    """Return where a workload's rows come from."""
    declared = context.workload.source
    kind = SqlSource if declared.sql is not None else FileSource if declared.table is None else TableSource
    return kind(context.workload, context.store.root)


def complete_arrivals(context: Context, days: Collection[date]) -> dict[date, Arrival]:
    """Return what has arrived completely for some of the days."""
    arrived = source_of(context).arrived(days)
    return {day: arrival for day, arrival in arrived.items() if arrival.lacks is None}
