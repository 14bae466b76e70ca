"""Which deadlines of a workload are missed at a moment, and which of those that were are over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from muster.context import Context, PartitionContext
from muster.deadlines import there
from muster.deadlines.there import There
from muster.errors import bounded_line
from muster.settings import command
from muster.workload.deadlines import ByTime
from muster.workload.due import deadline_at, due_at, last_due, last_past
from muster.workload.stages import StageName
from muster.workload.windows import NotAPartition, slice_of

What = Literal["data", "predictions", "champion"]


RUNBOOK: dict[What, str] = {
    "data": "docs/operations.md#data-are-late",
    "predictions": "docs/operations.md#predictions-are-late",
    "champion": "docs/operations.md#the-champion-is-old",
}
"""The section that says what to do."""
REFUSED = "docs/operations.md#a-workloads-yaml-is-refused"


class Key(NamedTuple):
    """Which deadline of a workload it is; that of the champion is about no partition."""

    what: What
    partition: str | None = None

    def __str__(self) -> str:
        return f"{self.what} of {self.partition}" if self.partition else self.what


@dataclass(frozen=True)
class Missed:
    """A deadline that does not hold."""

    key: Key
    since: datetime
    declared: str
    """As the YAML has it."""
    last: str
    """What was last done."""
    why: str | None
    """Why it was skipped, put off or is late, where that is known."""
    do: str
    dag: str
    """The DAG to look at."""
    page: str
    """The section of the runbook."""


@dataclass(frozen=True)
class Over:
    """A deadline that was missed, and is no more."""

    key: Key
    how: str


@dataclass(frozen=True)
class Looked:
    """What holds at a moment, and what does not."""

    missed: Sequence[Missed]
    over: Sequence[Over]
    """Of those that were asked about."""


class _Kind(NamedTuple):
    """A deadline that each partition has."""

    what: What
    field: str
    until: StageName
    there: Callable[[PartitionContext], There | None]
    verb: str


KINDS = (
    _Kind("data", "data_by", "ingest", there.data, "ingested"),
    _Kind("predictions", "predictions_by", "score", there.predictions, "scored"),
)


def look(context: Context, now: datetime, open_before: Collection[Key] = (), refused: str | None = None) -> Looked:
    """Return which deadlines are missed at `now`, and which of those that were open before are over.

    Asked is the newest partition whose deadline has come, and those that are still open. One that is open ends when
    what it lacked is there, or when a later partition has it: then nobody makes up for it, or it was skipped.
    `refused`: the problem for which the YAML is, so that nothing of the workload runs.
    """
    missed: list[Missed] = []
    over: list[Over] = []
    for kind in KINDS:
        by = _declared(context, kind.field)
        of_kind = {key for key in open_before if key.what == kind.what}
        if by is None:
            if refused is None:  # else it may be the very line that is wrong
                over += [Over(key, f"deadlines.{kind.field} is declared no more") for key in of_kind]
            continue
        for one in _of_kind(context, now, kind, by, of_kind):
            missed.append(one) if isinstance(one, Missed) else over.append(one)
    old = _old_champion(context, now)
    if isinstance(old, Missed):
        missed.append(old)
    elif refused is None or _declared(context, "champion_no_older_than"):
        over.append(Over(Key("champion"), old))
    if refused is not None:
        missed = [_of_refused(context, one, refused) for one in missed]
    return Looked(missed, [one for one in over if one.key in open_before])


def _of_refused(context: Context, missed: Missed, problem: str) -> Missed:
    every = command(f"try {context.workload.name} --group ANY")
    why = bounded_line(f"its YAML is refused, so nothing of it runs: {problem}")
    return replace(missed, why=why, do=f"mend the YAML; all problems: {every}", page=REFUSED)


def _declared(context: Context, field: str) -> Any:
    """Return a declared deadline; None without it, or where a YAML is refused for it."""
    return getattr(context.workload.deadlines, field, None)


def _of_kind(
    context: Context, now: datetime, kind: _Kind, by: ByTime, open_before: Collection[Key]
) -> Iterator[Missed | Over]:
    newest = last_past(context.workload, now, by)
    asked = {key.partition for key in open_before} | ({str(newest)} if newest else set())
    later: str | None = None
    for partition in sorted(filter(None, asked), reverse=True):
        key = Key(kind.what, partition)
        try:
            of_partition = context.at(partition)
        except NotAPartition:
            yield Over(key, "it is no partition of the schedule any more")
            continue
        is_there = kind.there(of_partition)
        if is_there is not None:
            later = later or partition
            when = f", {is_there.at:%Y-%m-%d %H:%M} UTC" if is_there.at else ""
            yield Over(key, f"{kind.verb}{when}")
        elif later is not None:
            yield Over(key, f"never {kind.verb}, and {later}, which is later, is: nobody waits for it any more")
        else:
            yield _missed(of_partition, kind, by)


def _missed(context: PartitionContext, kind: _Kind, by: ByTime) -> Missed:
    workload, partition = context.workload, context.partition
    reached = there.reached(context, kind.until)
    dag = f"{workload.name}.{reached.waits_for}"
    if reached.why is None:
        do = f"look at {dag}: unpause it, clear what is red; without a run, trigger it with partition key {partition}"
    else:
        do = f"look at {dag} of {partition}; the runbook says what to do"
    since = deadline_at(workload, context.windows.partition, by)
    key, declared = Key(kind.what, partition), f"{kind.field}: {by}"
    return Missed(key, since, declared, reached.last, reached.why, do, dag, RUNBOOK[kind.what])


def _old_champion(context: Context, now: datetime) -> Missed | str:
    """Return that the champion is too old; else why it is not, in words."""
    workload = context.workload
    days = _declared(context, "champion_no_older_than")
    due = last_due(workload, now)
    if days is None:
        return "deadlines.champion_no_older_than is declared no more"
    if due is None:
        return "no partition is due yet"
    limit = timedelta(days=days)
    champion = there.champion(context, limit, due)
    since = champion.partition if champion else _first_judged(context)
    if due - since <= limit:
        return f"it is of partition {since}" if champion else "the first one is not due yet"
    late = slice_of(workload, since + limit) + timedelta(days=workload.schedule.every)
    decisions = command(f"show {workload.name} decisions --partition {due}")
    return Missed(
        Key("champion"),
        due_at(workload, late),
        f"champion_no_older_than: {days}d",
        champion.text if champion else "there is none",
        None,
        f"see why nothing is promoted: {decisions}",
        f"{workload.name}.promote",
        RUNBOOK["champion"],
    )


def _first_judged(context: Context) -> date:
    """Return the first partition whose windows lie within the schedule: where there is no champion, age counts so."""
    windows, schedule = context.workload.windows, context.workload.schedule
    whole = slice_of(context.workload, schedule.start + timedelta(days=windows.train + windows.evaluate - 1))
    return whole + timedelta(days=schedule.every)
