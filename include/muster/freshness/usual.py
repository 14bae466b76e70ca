"""What a partition's days usually hold: rows by weekday, and groups, of the four weeks before its slice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import pyarrow as pa

from muster.context import PartitionContext
from muster.storage.delta import count_rows
from muster.storage.provenance import file_digests, read_facts
from muster.storage.store import Store
from muster.workload.windows import DateRange
from muster.workload.zone import EPOCH

WEEKS = 4


@dataclass(frozen=True)
class Usual:
    """What is known of the weeks before; nothing of a partition that is among the first."""

    rows: Mapping[date, float]
    """Day of the slice -> the median of the rows that were ingested of the same weekdays; days without any left out."""
    groups: frozenset[str]
    """Groups that had a row on the slice's weekdays in at least half of the weeks that were ingested."""


def usual(context: PartitionContext) -> Usual:
    """Return what the days of the partition's slice usually hold, by what is written down about earlier ones.

    Rows are counted in the facts that ingest has left. Groups are counted within delta-rs: of `observations` it reads
    two columns of the weeks, and gives back a name a group.
    """
    before, days = _before(context), context.windows.score.days()
    weekdays = {day.weekday() for day in days}
    ingested = {day: rows for day, rows in _ingested_rows(context.store, before).items() if day.weekday() in weekdays}
    rows = {}
    for day in days:
        same = [count for other, count in ingested.items() if other.weekday() == day.weekday()]
        if same:
            rows[day] = float(median(same))
    return Usual(rows, _usual_groups(context.store, before, ingested))


def usual_digest(context: PartitionContext) -> str:
    """Return what changes with any row of the weeks before, by what is written down about them; none is read."""
    files = file_digests(context.store, "observations")
    facts = read_facts(context.store, "observations", files)
    days = map(str, _before(context).days())
    known = {day: facts[day].digest if day in facts else files[day] for day in days if day in facts or day in files}
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def _before(context: PartitionContext) -> DateRange:
    start = context.windows.score.start
    return DateRange(start - timedelta(weeks=WEEKS), start)


def _ingested_rows(store: Store, days: DateRange) -> dict[date, int]:
    """Return how many rows each day has that was ingested; a day on which nothing happened has none.

    By the facts that are true of its files; else, as when rows were deleted since, by the table's log.
    """
    facts = read_facts(store, "observations", file_digests(store, "observations"))
    known = {day: facts[str(day)].rows for day in days.days() if str(day) in facts}
    table = store.open("observations")
    if table is None:
        return known
    for day in sorted((set(days.days()) & store.days("observations")) - known.keys()):
        if (rows := count_rows(table, DateRange(day, day + timedelta(days=1)))) is not None:
            known[day] = rows
    return known


def _usual_groups(store: Store, before: DateRange, ingested: Iterable[date]) -> frozenset[str]:
    from deltalake import QueryBuilder

    table, days = store.open("observations"), sorted(ingested)
    if table is None or not days:
        return frozenset()
    weeks = len({(before.stop - day - timedelta(days=1)).days // 7 for day in days})
    listed = ", ".join(f"DATE '{day}'" for day in days)
    week = f"({(before.stop - EPOCH.date()).days - 1} - arrow_cast(\"date\", 'Int32')) / 7"
    query = f"""SELECT "group" FROM this WHERE "date" IN ({listed})
        GROUP BY 1 HAVING 2 * count(DISTINCT {week}) >= {weeks}"""  # noqa: S608 - dates and numbers alone
    answer = QueryBuilder().register("this", table).execute(query)
    return frozenset(pa.RecordBatchReader.from_stream(answer).read_all()["group"].to_pylist())
