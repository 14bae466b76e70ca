"""Whether a partition is trained: by its cadence, or for a cause off it; by what was trained, not by the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from muster.errors import bounded
from muster.printable import cell, number
from muster.storage.results import ATTEMPT, PUT_OFF, SKIPPED, UNPROMOTED, StageResult, ended, stage_results
from muster.storage.store import Store
from muster.workload.retrain import Cause, Retrain

MAX_WHY = 500
"""Characters of a reason that an event gives."""

DECISIONS = "cadence"
"""The stage whose results have what was decided."""


@dataclass(frozen=True)
class Asked:
    """Somebody, or an event, asks for a partition to be trained though it may not be due."""

    cause: Cause
    why: str = ""
    who: str = ""
    at: datetime | None = None
    """When the event came; None of a human, who is asked nothing."""

    @classmethod
    def by_event(cls, cause: Cause, extra: Mapping[str, Any], at: datetime | None) -> Asked:
        """Return what an event asks for: `why`, `groups` and their `count` are what it may say."""
        listed = extra.get("groups")
        groups = [str(group) for group in listed] if isinstance(listed, list | tuple) else []
        of_groups = f" ({extra.get('count') or len(groups)} groups: {bounded(groups)})" if groups else ""
        return cls(cause, cell(f"{extra.get('why') or 'its event tells no reason'}{of_groups}", MAX_WHY), at=at)


@dataclass(frozen=True)
class Trained:
    """What was trained before."""

    before: date | None = None
    """The last earlier partition; None where there is none."""
    after: date | None = None
    """The last later partition; None where there is none."""
    itself_at: datetime | None = None
    """When the partition itself was trained last; None where it never was."""


@dataclass(frozen=True)
class Decision:
    """Whether a partition is trained, and why."""

    train: bool
    why: str
    cause: Cause | Literal["cadence"] | None
    """What it is trained for; None where it is not."""


def decide(
    retrain: Retrain,
    slice_days: int,
    partition: date,
    trained: Trained,
    asked: Sequence[Asked] = (),
    *,
    of_events: bool = False,
) -> Decision:
    """Return whether a partition is trained.

    It is due where no partition of the `every` days before it was trained: so one that failed, or that an outage left
    out, is made up for by the next. Off the cadence a human's word counts at once, an event only where none was trained
    in `at_least_apart` days before, and where the partition itself was not trained since it came. A partition that was
    trained is not due once more for an event's sake (`of_events`), nor behind a later one that was trained.
    """
    last = trained.before
    ago = retrain.every if last is None else (partition - last).days
    again = trained.itself_at is not None and (of_events or trained.after is not None)
    if ago >= retrain.every and not again:
        before = f"due: the last one that was trained is {last}, {number(ago, 'day')} before"
        return Decision(True, before if last else "no partition before it was trained", "cadence")
    refused = [_not_due(retrain, partition, trained, ago)]
    for one in sorted(asked, key=lambda one: one.cause != "by_hand"):
        problem = _refused(retrain, slice_days, trained, ago, one)
        if problem is None:
            by = f" by '{one.who}'" if one.who else ""
            about = f": {one.why}" if one.why else ""
            words = "asked for by hand" if one.cause == "by_hand" else one.cause
            return Decision(True, f"{words}{by}{about}", one.cause)
        refused.append(problem)
    return Decision(False, "; ".join(refused), None)


def _not_due(retrain: Retrain, partition: date, trained: Trained, ago: int) -> str:
    if ago >= retrain.every or trained.before is None:
        since = f", and {trained.after} since" if trained.after else ""
        return f"{partition} was trained already{since}"
    again = trained.before + timedelta(days=retrain.every)
    return f"not due before {again}: the last one that was trained is {trained.before}, {number(ago, 'day')} before"


def _refused(retrain: Retrain, slice_days: int, trained: Trained, ago: int, one: Asked) -> str | None:
    """Return why a cause trains nothing; None where it does."""
    if one.cause not in retrain.on:
        return f"'{one.cause}' trains nothing, since 'retrain.on' has {', '.join(retrain.on) or 'nothing'}"
    if one.cause == "by_hand":
        return None
    if one.at is not None and trained.itself_at is not None and trained.itself_at > one.at:
        return f"'{one.cause}' is of before it was trained, at {trained.itself_at:%Y-%m-%d %H:%M} UTC"
    if trained.after is not None and one.cause != "corrected":
        return f"'{one.cause}' trains nothing: partition {trained.after} was trained since, of later rows"
    apart = retrain.at_least_apart or slice_days
    if ago < apart:
        return f"'{one.cause}' trains nothing within {number(apart, 'day')} of the last, 'retrain.at_least_apart'"
    return None


def trained_around(store: Store, partition: date, *, of_backfill: bool = False) -> Trained:
    """Return what was trained before a partition and after it, as the results of training have it.

    A retry of some groups is no training; nor, but to a backfill's own runs, is what a backfill has trained and nobody
    promotes: the champion is as old as before.
    """
    results: dict[str, list[StageResult]] = {}
    for result in stage_results(store, "train"):
        if of_backfill or UNPROMOTED not in result.path:
            results.setdefault(result.partition, []).append(result)
    own = partition.isoformat()
    trained = (name for name in sorted(results, reverse=True) if name != own and _trained_at(results[name]))
    after = before = None
    for name in trained:
        if name < own:
            before = date.fromisoformat(name)
            break
        after = after or date.fromisoformat(name)
    return Trained(before, after, _trained_at(results.get(own, [])))


def last_trained(store: Store) -> date | None:
    """Return the last partition that was trained; None where there is none."""
    return trained_around(store, date.max).before


def _trained_at(results: Sequence[StageResult]) -> datetime | None:
    """Return when all groups of a partition were trained last; None where they were not."""
    for result in sorted(results, key=lambda result: (result.at, result.path), reverse=True):
        if not {PUT_OFF, SKIPPED, ATTEMPT} & result.read().keys():
            return result.at
    return None


def kept_at(store: Store, partition: str) -> datetime | None:
    """Return when it was decided last that a partition is not trained; None where it was not, or is trained."""
    decided = ended(store, DECISIONS, partition)
    return None if decided is None or decided.report["train"] else decided.at
