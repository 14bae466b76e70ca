"""What an event says of its partition, and which days' correction a run follows from: carried from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

NEWS, CORRECTION = "news", "correction"
"""Keys of an event's `extra`: partition -> why it is to be ingested; the days whose correction led to the event."""


def news_of(extra: Mapping[str, Any] | None, partition: str | None) -> Mapping[str, Any]:
    """Return what an event of the asset `arrived` says of a partition: its cause, its state, its days."""
    told = (extra or {}).get(NEWS)
    of_partition = told.get(partition) if isinstance(told, Mapping) else None
    return of_partition if isinstance(of_partition, Mapping) else {}


def corrected_days(context: Context) -> list[str]:
    """Return the days whose correction this run follows from, in order; none where it follows from no correction."""
    days: set[str] = set()
    for events in context["triggering_asset_events"].values():
        for event in events:
            days.update((event.extra or {}).get(CORRECTION) or ())
            told = news_of(event.extra, context.get("partition_key"))
            if told.get("cause") == CORRECTION:
                days.update(told.get("days") or ())
    return sorted(days)
