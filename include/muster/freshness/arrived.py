"""The cheap question: which days of a partition have come. It reads no row, so it may be asked every minute."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from muster.context import PartitionContext
from muster.errors import bounded
from muster.ingest.sources.kind import Arrival, PassedOver, begun_without
from muster.ingest.sources.kinds import source_of


@dataclass(frozen=True)
class Arrived:
    """What has come of a partition's own days."""

    place: str
    """Where they are looked for."""
    arrivals: Mapping[date, Arrival]
    """The days that are there, in order."""
    missing: Mapping[date, str | None]
    """The days that are not, in order: what they lack where they are begun, None where nothing has come."""
    passed_over: PassedOver
    """What lies there under names that are no day's; empty unless a day is missing."""
    part: str
    """What a day's part is called: `landed file`."""

    @property
    def whole(self) -> bool:
        """Whether all days are there."""
        return not self.missing

    @property
    def since(self) -> datetime | None:
        """When the newest of it came; None where nobody knows."""
        return max((arrival.since for arrival in self.arrivals.values() if arrival.since), default=None)

    @property
    def digest(self) -> str:
        """What tells this state from another: it changes with any delivery, and with what a begun day lacks."""
        there = [f"{day} {arrival.settles_by or arrival.delivery}" for day, arrival in self.arrivals.items()]
        lacking = [f"{day} lacks {why}" for day, why in self.missing.items()]
        return hashlib.sha256("\n".join([*there, *lacking]).encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def problem(self) -> str | None:
        """What is missing, in one line; None where nothing is."""
        if not self.missing:
            return None
        incomplete = begun_without(self.missing.values())
        return f"no {self.part} for {bounded(self.missing)} in '{self.place}'{self.passed_over}{incomplete}"


def what_arrived(context: PartitionContext) -> Arrived:
    """Return what has come of the days of the partition's slice; of a database and a table, by counting rows.

    Raises:
        MusterError: when the source cannot be asked; worth another try where it is `retryable`.
        OSError: when the system does not answer.
    """
    source, days = source_of(context), context.windows.score.days()
    found = source.arrived(set(days))
    there = {day: found[day] for day in days if day in found and found[day].lacks is None}
    missing = {day: found[day].lacks if day in found else None for day in days if day not in there}
    passed_over = source.passed_over() if missing else PassedOver()
    return Arrived(source.place, there, missing, passed_over, source.part)
