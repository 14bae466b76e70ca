"""What a slice of features is made from: written down with it, and compared with what it would be made from now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from muster.context import Context
from muster.errors import bounded
from muster.storage.provenance import Fact, file_digests, read_facts
from muster.workload.code import code_digest
from muster.workload.spec import Parent, Workload
from muster.workload.windows import DateRange, slice_of

FORMAT = 1
"""Counted up when another Muster makes other rows of the same observations."""

WORDS = {
    "format": "another version of Muster",
    "columns": "other columns",
    "keys": "other keys",
    "unique": "other columns in 'unique'",
    "label": "another label",
    "function": "another feature function",
    "features": "other features",
    "schedule": "another schedule",
    "buckets": "other buckets",
    "parents": "other parents",
    "resample_by": "another column that is drawn as one",
    "weight": "another weight",
    "zone": "another time zone",
}
"""Why a slice is out of date, by what has changed of its declaration."""

MAYBE = frozenset({"zone"})
"""What is written down only where it is declared: so whoever has none of it is not told of it."""

ASKED = "asked"
"""Under this name a fact has the slice's content without labels, day by day: what models are asked."""

OTHER_ROWS = "other rows"
"""Why a slice is out of date of which days have changed that it was made from."""

UNKNOWN = "nothing says what it was made from"
"""Why a slice is out of date of which there never was a fact: made by an older Muster, or its facts were deleted."""


def slice_days(workload: Workload, first: date) -> DateRange:
    """Return the days of the slice that begins at `first`."""
    return DateRange(first, first + timedelta(days=workload.schedule.every))


@dataclass(frozen=True)
class Sources:
    """What slices of features are made from at one moment: a workload's declaration and code, a table's version."""

    context: Context
    version: int | None
    """The Delta version of `observations`; None without the table."""
    declared: Mapping[str, Any]
    """All that decides a slice's rows but the observations, by the names of `WORDS`."""

    @classmethod
    def now(cls, context: Context) -> Sources:
        """Return the sources as they are now.

        The code is looked at here, before it is loaded: what is changed in between is then out of date, never unseen.
        """
        table = context.store.open("observations")
        return cls(context, None if table is None else table.version(), _declared(context))

    @cached_property
    def contents(self) -> dict[date, str]:
        """Each observed day's content: by the fact that ingest wrote down, else by its files' names."""
        if self.version is None:
            return {}
        files = file_digests(self.context.store, "observations", self.version)
        facts = read_facts(self.context.store, "observations", files)
        by_fact = {day: fact.content[day] for day, fact in facts.items() if day in fact.content}
        return {date.fromisoformat(day): by_fact.get(day, f"files {digest}") for day, digest in files.items()}

    @cached_property
    def observed(self) -> set[date]:
        """The first days of the slices that have observations."""
        return {slice_of(self.context.workload, day) for day in self.contents}

    def of(self, first: date) -> dict[str, Any]:
        """Return what the slice that begins at `first` is made from."""
        days = slice_days(self.context.workload, first)
        read = DateRange(days.start - timedelta(days=self.context.workload.features.lookback), days.stop)
        content = {day.isoformat(): self.contents[day] for day in read.days() if day in self.contents}
        return {**self.declared, "days": content}

    def why_out_of_date(self, first: date, fact: Fact | None) -> str | None:
        """Return why a slice is not what would be made now; None when it is."""
        return UNKNOWN if fact is None else difference(fact.made_from, self.of(first))


def _declared(context: Context) -> dict[str, Any]:
    workload = context.workload
    features, schedule, fallback = workload.features, workload.schedule, workload.pack.fallback
    parents = {"keys": list(fallback.keys), "share": fallback.share} if isinstance(fallback, Parent) else None
    return {
        "format": FORMAT,
        "columns": {name: column.type for name, column in sorted(workload.columns.items())},
        "keys": {"keys": list(workload.keys), "time": workload.time},
        "unique": list(workload.unique),
        "label": _outcome(workload),
        "function": code_digest(workload, context.folder, features.function)[:16],
        "features": {"columns": list(features.columns), "lookback": features.lookback},
        "schedule": {"every": schedule.every, "phase": schedule.start.toordinal() % schedule.every},
        "buckets": features.buckets,
        "parents": parents,
        "resample_by": workload.resample_by,
        "weight": workload.weight,
        **({} if workload.zone is None else {"zone": workload.zone}),
    }


def _outcome(workload: Workload) -> dict[str, Any]:
    """Return the outcome's declaration: of a threshold as it was written down when there was no other kind."""
    outcome = workload.outcome
    declared = outcome.declared.model_dump(mode="json", exclude_none=True, exclude={"transform"})
    return declared if outcome.binary and outcome.binary.above is not None else {outcome.kind: declared}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return in words what a slice was made from that is another now; None without any.

    What was not written down then is unknown: an older Muster did not look at it.
    """
    differing = (name for name in WORDS if before.get(name) != now.get(name))
    changed = (WORDS[name if name in before or name in MAYBE else "format"] for name in differing)
    reasons = list(dict.fromkeys(changed))
    then, today = before.get("days", {}), now["days"]
    days = sorted(day for day in then.keys() | today.keys() if then.get(day) != today.get(day))
    if days:
        reasons.append(f"{OTHER_ROWS} of {bounded(days, 3)}")
    return ", ".join(reasons) or None


def corrected(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether two slices were made from other observations, and of nothing else that differs."""
    known = (WORDS.keys() & before.keys() & now.keys()) | MAYBE
    return before.get("days") != now.get("days") and all(before.get(name) == now.get(name) for name in known)


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """Return how many slices are out of date, by the reason; without the days where those of several differ."""
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        before, rows, _ = reason.partition(OTHER_ROWS)
        alike.setdefault(before + rows, []).append(reason)
    return {same[0] if len(set(same)) == 1 else kind: len(same) for kind, same in alike.items()}
