"""Which days were ingested as they have arrived now, and what is written down about those that were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pyarrow as pa

from muster.ingest.sources.kind import Arrival
from muster.storage.evolution import ZONE
from muster.storage.provenance import NO_ROWS, Fact, file_digests, newest_facts
from muster.storage.store import Store


def ingested_days(store: Store, arrived: Mapping[date, Arrival], zone: str | None = None) -> set[date]:
    """Return those of the days that were ingested, read in this zone, and were not delivered again since.

    The newest fact of a day says which delivery it was, also where its rows were rewritten since; an ingest that was
    killed before it wrote a fact leaves the older one. Of a day that another Muster ingested there is none: it is taken
    as it is, unless what has arrived is younger than its rows.
    """
    facts, written = newest_facts(store, "observations"), written_at(store)
    there = {day for day in arrived if day in written or _has_no_rows(facts.get(day.isoformat()))}

    def is_brought(day: date) -> bool:
        fact, arrival = facts.get(day.isoformat()), arrived[day]
        if fact is None:
            younger = arrival.since is None or arrival.since > datetime.fromtimestamp(written[day] / 1000, UTC)
            return zone is None and not younger
        return bool(fact.made_from["delivery"] == arrival.delivery and fact.made_from.get(ZONE) == zone)

    return {day for day in there if is_brought(day)}


def written_at(store: Store) -> dict[date, int]:
    """Return each day of `observations` that has rows -> when the oldest of its files was written, in milliseconds."""
    table = store.open("observations")
    if table is None:
        return {}
    times: dict[date, int] = {}
    for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        day, at = date.fromisoformat(str(file["partition.date"])), file["modification_time"]
        times[day] = min(at, times.get(day, at))
    return times


def _has_no_rows(fact: Fact | None) -> bool:
    """Return whether the day was ingested, and nothing of it was accepted, or its file is a header only."""
    return fact is not None and not fact.files


def day_facts(
    store: Store,
    delivered: Mapping[date, str],
    content: Mapping[date, str],
    version: int | None = None,
    zone: str | None = None,
) -> list[Fact]:
    """Return what is to be written down about days that were ingested at a version, from their deliveries' `content`.

    A day without content has no row: nothing of it was accepted, or its file is a header only.
    """
    files = file_digests(store, "observations", version)
    read_in = {} if zone is None else {ZONE: zone}
    facts = []
    for day, delivery in delivered.items():
        name, digest = day.isoformat(), content.get(day, NO_ROWS)
        facts.append(Fact("observations", name, files.get(name, ""), {name: digest}, {"delivery": delivery, **read_in}))
    return facts
