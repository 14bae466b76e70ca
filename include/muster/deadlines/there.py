"""What there is of a partition and of the champion, from results, tables and journal: no service is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from muster.champions.errors import NO_VERSION
from muster.champions.journal import Journal
from muster.champions.units import is_pack
from muster.context import Context, PartitionContext
from muster.errors import bounded, bounded_line
from muster.printable import number
from muster.storage.provenance import newest_facts
from muster.storage.results import AWAIT_DATA, LATE, PUT_OFF, SKIPPED, ended, stage_results
from muster.storage.store import Store
from muster.training.cadence import kept_at
from muster.workload.stages import StageName, path_to

MISSING = "missing"
"""What the result of an ingest names that went on without days that were late."""


@dataclass(frozen=True)
class There:
    """That there is what was asked for, and since when; None where only a table has it."""

    at: datetime | None = None


def data(context: PartitionContext) -> There | None:
    """Tell whether all days of a partition's slice are ingested, by its own `ingest` or by a later partition's."""
    last = ended(context.store, "ingest", context.partition)
    if last is not None and not last.report.get(MISSING):
        return There(last.at)
    known = {*newest_facts(context.store, "observations"), *map(str, context.store.days("observations"))}
    return There() if all(str(day) in known for day in context.windows.score.days()) else None


def predictions(context: PartitionContext) -> There | None:
    """Tell whether a partition has been scored: one that was skipped has not, unless there are those of before."""
    last = ended(context.store, "score", context.partition)
    if last is not None and SKIPPED not in last.report:
        return There(last.at)
    table = context.store.open("predictions")
    return There() if table and any(one["partition"] == context.partition for one in table.partitions()) else None


@dataclass(frozen=True)
class Reached:
    """How far a partition has come, and what it waits for."""

    last: str
    """The last stage that it has ended, and when, in words."""
    waits_for: StageName
    """The stage that has not ended."""
    why: str | None
    """Why it has not, where anybody has written that down."""


def reached(context: PartitionContext, until: StageName) -> Reached:
    """Return how far a partition has come on its way to the end of a stage."""
    last = _nothing(context.store, until)
    trained = kept_at(context.store, context.partition) is None
    for stage in path_to(context.workload, until, trained=trained):
        one = ended(context.store, stage, context.partition)
        if one is None:
            return Reached(last, stage, _why_not(context.store, stage, context.partition))
        if why := one.report.get(SKIPPED):
            return Reached(last, stage, _line(f"{stage} was skipped: {why}"))
        last = f"{stage}, {one.at:%Y-%m-%d %H:%M} UTC"
        if stage == until and (days := one.report.get(MISSING)):
            return Reached(last, stage, f"ingested without {bounded(days)}")
    return Reached(last, until, None)


def _why_not(store: Store, stage: StageName, partition: str) -> str | None:
    """Return why a stage has not ended: what waits for its data was skipped or gave up, or MLflow put it off."""
    report = _newest(store, AWAIT_DATA, partition) if stage == "ingest" else None
    if report is not None:
        skipped = report.get(SKIPPED)
        return _line(f"ingest was skipped: {skipped}" if skipped else str(report.get(LATE)))
    report = _newest(store, stage, partition)
    if report is not None and PUT_OFF in report:
        return _line(f"{stage} was put off until {report[PUT_OFF]}: {report.get('why')}")
    return None


def _nothing(store: Store, until: StageName) -> str:
    """Say that a partition has not begun, and which one was the last that came to the end of a stage."""
    nothing = "nothing of it has run to its end"
    for partition in sorted({result.partition for result in stage_results(store, until)}, reverse=True):
        one = ended(store, until, partition)
        if one is not None and SKIPPED not in one.report:
            return f"{nothing}; the last to end {until} was {partition}, {one.at:%Y-%m-%d %H:%M} UTC"
    return nothing


def _line(text: str) -> str:
    """Return a text of a result as one line: it may quote what was landed, and begins no line of a message."""
    return bounded_line(" ".join(text.split()))


def _newest(store: Store, stage: str, partition: str) -> dict[str, Any] | None:
    results = stage_results(store, stage, partition)
    return max(results, key=lambda one: (one.at, one.path)).read() if results else None


@dataclass(frozen=True)
class Champion:
    """The champion by the journal: of a pack, or of the groups' own the one that was trained for the latest partition.

    So its age says when anything was last let in: a group of which no data come any more, or that no candidate beats,
    keeps its old champion, in a pack and of its own.
    """

    partition: date
    text: str


def champion(context: Context, older_than: timedelta, due: date) -> Champion | None:
    """Return the champion; None where there is none, or a human took all away."""
    moves, pack = Journal(context.store).last_moves, is_pack(context.workload)
    moves = moves.filter((pc.field("group").is_null() == pack) & (pc.field("to_version") != NO_VERSION))
    if not moves.num_rows:
        return None
    newest = max(moves.to_pylist(), key=lambda move: (move["partition"], move["at"]))
    partitions = [date.fromisoformat(text) for text in moves["partition"].to_pylist()]
    moved = f"of partition {newest['partition']}, moved {newest['at']:%Y-%m-%d %H:%M} UTC"
    if pack:
        return Champion(max(partitions), f"version {newest['to_version']} {moved}")
    older = sum(due - partition > older_than for partition in partitions)
    of = number(len(partitions), "group")
    return Champion(max(partitions), f"the latest {moved}; {older:,} of {of} have one of more than {older_than.days} d")
