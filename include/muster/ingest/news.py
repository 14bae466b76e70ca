"""What is new in a workload's source: partitions whose days have all come, and days that are another delivery now.

Told by the tables and the source alone, so whoever asks again, after whatever was killed, gets the same answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal

from muster.context import Context
from muster.ingest.arrivals import written_at
from muster.ingest.due_days import not_brought
from muster.ingest.sources.kind import Arrival
from muster.ingest.sources.kinds import complete_arrivals, source_of
from muster.storage.provenance import newest_facts
from muster.storage.results import stage_results
from muster.workload.windows import DateRange, NotAPartition, partition_windows, slice_of
from muster.workload.zone import EPOCH, day_range

Cause = Literal["arrival", "correction", "due"]

ASKED_ONE_BY_ONE = 400
"""Days of which a source is asked what has arrived; of more it is asked first which are there at all."""
OLDEST = timedelta(days=366)
"""How far before the windows of the newest partition it is looked for days that have changed, to tell of them."""


@dataclass(frozen=True)
class News:
    """Why a partition is to be ingested."""

    partition: str
    cause: Cause
    """All its days have come; some were corrected, or came after it was ingested; or it is due and they have not."""
    days: tuple[date, ...]
    """The days that are new, or that are missing from what is due."""
    state: str
    """What tells this news from other news of the partition."""


def news(context: Context, now: datetime | None = None) -> list[News]:
    """Return what is new, in order of the partitions. It reads no row.

    A partition is new when its slice has ended, all its days are there and no ingest has brought it: of a workload that
    has begun all of those, but for what no stage needs any more; of a new one, or without `catchup`, only the latest. A
    partition is corrected when a day of its slice is another delivery than the one that was ingested, or came later;
    and so is the first that looks back on it, where that day is of no partition that ran. Only the windows of the
    newest ingested partition are looked at for that.

    Raises:
        MusterError: when the source cannot be asked; worth another try where it is `retryable`.
        OSError: when the system does not answer.
    """
    asked = _Asked(context, now or datetime.now(UTC))
    return sorted([*asked.arrived(), *asked.corrected(), *asked.due()], key=lambda one: one.partition)


def changed_before(context: Context) -> list[date]:
    """Return the days of the year before those windows that are another delivery now: nobody acts on them.

    A database is not asked: it would be a query a day.
    """
    asked = _Asked(context, datetime.now(UTC))
    if not asked.ingested or context.workload.source.sql is not None:
        return []
    first = asked.observed.start
    return sorted(asked.changed(asked.days_there(DateRange(first - OLDEST, first).days())))


@dataclass(frozen=True)
class _Asked:
    """A workload's source and tables at one moment."""

    context: Context
    now: datetime

    @cached_property
    def ingested(self) -> list[date]:
        """The partitions that an ingest has brought, in order."""
        named = {result.partition for result in stage_results(self.context.store, "ingest")}
        return sorted(partition for name in named if (partition := self._partition(name)) is not None)

    @cached_property
    def _first_live(self) -> date | None:
        """The first partition that was ingested, but by a backfill: whoever brings old ones asks for none between."""
        results = stage_results(self.context.store, "ingest")
        named = (self._partition(result.partition) for result in results if not result.of_backfill)
        return min((partition for partition in named if partition is not None), default=None)

    @cached_property
    def observed(self) -> DateRange:
        """The days of the newest ingested partition's windows."""
        return partition_windows(self.context.workload, self.ingested[-1]).observed

    def arrived(self) -> Iterator[News]:
        for partition, arrivals in self._whole.items():
            yield News(str(partition), "arrival", (), _state(arrivals.values()))

    def corrected(self) -> Iterator[News]:
        if not self.ingested:
            return
        there = self.days_there(self.observed.days())
        of_partition: dict[date, list[Arrival]] = {}
        for day in sorted(self.changed(there)):
            if (partition := self._touched(day)) is not None:
                of_partition.setdefault(partition, []).append(there[day])
        for partition, arrivals in of_partition.items():
            yield News(str(partition), "correction", tuple(one.day for one in arrivals), _state(arrivals))

    def due(self) -> Iterator[News]:
        """Yield the latest partition that is due by the cron, though not all of its days have come."""
        schedule = self.context.workload.schedule
        time = re.match(r"\s*(\d{1,2})\s+(\d{1,2})\s", schedule.cron or "", re.ASCII)
        if time is None:
            return
        since_due = self.now - timedelta(hours=int(time[2]), minutes=int(time[1]))
        latest = slice_of(self.context.workload, since_due.astimezone(UTC).date()) - timedelta(days=schedule.every)
        if self._partition(str(latest)) is None or latest in self._whole or latest in self.ingested[-1:]:
            return
        if self.ingested and latest < self.ingested[-1]:
            return
        days = self._slice(latest).days()
        missing = tuple(day for day in days if day not in self.days_there(days))
        yield News(str(latest), "due", missing, "due")

    def changed(self, there: Mapping[date, Arrival]) -> set[date]:
        """Return the days that are to be ingested again: they were, or were left out of a partition that was."""
        own = {day for partition in self.ingested for day in self._slice(partition).days()}
        return {day for day in not_brought(self.context, there) if day in own or day in self._ever_ingested}

    def days_there(self, days: Collection[date]) -> dict[date, Arrival]:
        """Return what has arrived completely of some days."""
        if len(days) > ASKED_ONE_BY_ONE:
            days = source_of(self.context).days().intersection(days)
        return complete_arrivals(self.context, set(days)) if days else {}

    @cached_property
    def _ever_ingested(self) -> set[date]:
        store = self.context.store
        return {date.fromisoformat(name) for name in newest_facts(store, "observations")} | written_at(store).keys()

    @cached_property
    def _whole(self) -> dict[date, dict[date, Arrival]]:
        """The partitions that have arrived and were not ingested, in order, with their days."""
        candidates = self._candidates()
        there = self.days_there([day for partition in candidates for day in self._slice(partition).days()])
        whole = {}
        for partition in candidates:
            days = self._slice(partition).days()
            if all(day in there for day in days):
                whole[partition] = {day: there[day] for day in days}
        if whole and not self.context.workload.schedule.catchup:
            whole = {max(whole): whole[max(whole)]}
        return whole

    def _candidates(self) -> list[date]:
        """Return the partitions that may be new: their slices have ended, and they were not ingested."""
        workload = self.context.workload
        schedule = workload.schedule
        if not self.ingested:
            begun = sorted({slice_of(workload, day) for day in source_of(self.context).days()}, reverse=True)
            ended = (first for first in begun if self._partition(str(first)) is not None and self._has_ended(first))
            return [first for first in ended if self._is_whole(first)][:1]
        last, step = self.ingested[-1], timedelta(days=schedule.every)
        first = (self._first_live if schedule.catchup else None) or last + step
        wanted, known = [], set(self.ingested)
        needed = partition_windows(workload, last).history.start
        while self._partition(str(first)) is not None and self._has_ended(first):
            if first not in known and (first > last or first >= needed):
                wanted.append(first)
            first += step
        return wanted

    def _is_whole(self, partition: date) -> bool:
        days = self._slice(partition).days()
        return len(complete_arrivals(self.context, days)) == len(days)

    def _has_ended(self, partition: date) -> bool:
        days = self._slice(partition).days()
        ends = day_range(self.context.workload.zone, days[0], days[-1])[1]
        return EPOCH + timedelta(microseconds=ends) <= self.now

    def _touched(self, day: date) -> date | None:
        """Return the ingested partition that brings a day again: its own, or the first after it."""
        own = slice_of(self.context.workload, day)
        if own in self._whole:
            return None  # which brings it
        return next((partition for partition in self.ingested if partition >= own), None)

    def _slice(self, partition: date) -> DateRange:
        return DateRange(partition, partition + timedelta(days=self.context.workload.schedule.every))

    def _partition(self, name: str) -> date | None:
        try:
            return partition_windows(self.context.workload, name).partition
        except NotAPartition:  # of another schedule
            return None


def _state(arrivals: Iterable[Arrival]) -> str:
    lines = [f"{arrival.day} {arrival.delivery}" for arrival in arrivals]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
