"""Whether a partition is trained: by its cadence, or for a cause off it; by what was trained, not by the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from muster.errors import bounded
from muster.printable import cell, number
from muster.storage.results import ended, stage_results
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
    retrain: Retrain, slice_days: int, partition: date, trained: Trained, asked: Sequence[Asked] = ()
) -> Decision:
    """Return whether a partition is trained.

    It is due where no partition of the `every` days before it was trained: so one that failed, or that an outage left
    out, is made up for by the next. Off the cadence a human's word counts at once, an event only where none was trained
    in `at_least_apart` days before, and where the partition itself was not trained since it came.
    """
    last = trained.before
    if last is None:
        return Decision(True, "no partition before it was trained", "cadence")
    ago = (partition - last).days
    if ago >= retrain.every:
        why = f"due: the last one that was trained is {last}, {number(ago, 'day')} before"
        return Decision(True, why, "cadence")
    again = last + timedelta(days=retrain.every)
    refused = [f"not due before {again}: the last one that was trained is {last}, {number(ago, 'day')} before"]
    for one in sorted(asked, key=lambda one: one.cause != "by_hand"):
        problem = _refused(retrain, slice_days, trained, ago, one)
        if problem is None:
            by = f" by '{one.who}'" if one.who else ""
            about = f": {one.why}" if one.why else ""
            words = "asked for by hand" if one.cause == "by_hand" else one.cause
            return Decision(True, f"{words}{by}{about}", one.cause)
        refused.append(problem)
    return Decision(False, "; ".join(refused), None)


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


def trained_around(store: Store, partition: date) -> Trained:
    """Return what was trained before a partition and after it, as the results of training have it."""
    own = ended(store, "train", partition.isoformat())
    others = {item.partition for item in stage_results(store, "train")} - {partition.isoformat()}
    before = (name for name in sorted(others, reverse=True) if name < partition.isoformat() and _ended(store, name))
    last = next(before, None)
    later = max((name for name in others if name > partition.isoformat() and _ended(store, name)), default=None)
    return Trained(_day(last), _day(later), own.at if own else None)


def _day(partition: str | None) -> date | None:
    return date.fromisoformat(partition) if partition else None


def _ended(store: Store, partition: str) -> bool:
    return ended(store, "train", partition) is not None


def kept_at(store: Store, partition: str) -> datetime | None:
    """Return when it was decided last that a partition is not trained; None where it was not, or is trained."""
    decided = ended(store, DECISIONS, partition)
    return None if decided is None or decided.report["train"] else decided.at
