"""Whether a partition's data are fresh: the cheap question first, the deep one once all days are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from muster.context import PartitionContext
from muster.errors import bounded
from muster.freshness.arrived import Arrived, what_arrived
from muster.freshness.counted import Counted, count_rows_and_groups
from muster.freshness.usual import Usual, usual, usual_digest
from muster.workload.freshness import Freshness

MOST_DAYS = 100
"""Days that are told one by one: a page of Airflow's holds little more."""
SHOWN = 5
"""Days and groups that a line names before it counts the rest."""


@dataclass(frozen=True)
class Answer:
    """What is there of a partition, and what is not."""

    arrived: Arrived
    limits: Freshness
    counted: Counted | None = None
    """None while a day is missing: nothing was read then."""
    usual: Usual | None = None
    known: Mapping[str, Any] | None = None
    """What was shown of this very state when it was counted; it is not counted again."""

    @property
    def fresh(self) -> bool:
        """Whether all that is declared holds."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What does not hold, a line each, for people."""
        if self.known is not None:
            return list(self.known["problems"])
        missing = self.arrived.problem
        return [missing] if missing else list(self._of_rows())

    @property
    def known_groups(self) -> set[str]:
        """The usual groups that are there."""
        return set() if self.counted is None or self.usual is None else self.counted.groups & self.usual.groups

    def shown(self) -> dict[str, Any]:
        """Return the answer as JSON, bounded however many days and groups there are."""
        if self.known is not None:
            return dict(self.known)
        there, since = list(self.arrived.arrivals), self.arrived.since
        told: dict[str, Any] = {
            "days": f"{len(there)} of {len(there) + len(self.arrived.missing)}",
            "missing": [str(day) for day in list(self.arrived.missing)[:MOST_DAYS]],
            "newest_came": since.isoformat(timespec="seconds") if since else None,
            "problems": self.problems,
        }
        if self.counted is not None and self.usual is not None:
            newest = self.counted.newest
            told["newest_event"] = newest.isoformat(timespec="seconds") if newest else None
            told["row_count"] = sum(self.counted.rows.values())
            told["rows"] = {str(day): self._of_usual(day) for day in list(self.counted.rows)[:MOST_DAYS]}
            told["groups"] = len(self.counted.groups)
            told["usual_groups"] = f"{len(self.known_groups)} of {len(self.usual.groups)}"
        return told

    def _of_usual(self, day: date) -> str:
        """Return a day's rows beside those that it usually has."""
        assert self.counted is not None  # noqa: S101 - for the type
        assert self.usual is not None  # noqa: S101
        rows, of_late = f"{self.counted.rows[day]:,}", self.usual.rows.get(day)
        return rows if of_late is None else f"{rows} of usually {of_late:,.0f}"

    def _of_rows(self) -> Iterator[str]:
        counted, of_late = self.counted, self.usual
        if counted is None or of_late is None:
            return
        if counted.unreadable:
            reasons = [f"{day}: {why}" for day, why in counted.unreadable.items()]
            yield f"days that cannot be taken: {bounded(reasons, 2)}"
        least = {day: self.limits.rows * rows for day, rows in of_late.rows.items()}
        if few := [day for day, rows in counted.rows.items() if rows < least.get(day, 0)]:
            each = [f"{day} ({self._of_usual(day)})" for day in few]
            yield f"fewer rows than {self.limits.rows:.0%} of what is usual: {bounded(each, SHOWN)}"
        absent = sorted(of_late.groups - counted.groups)
        if len(self.known_groups) < self.limits.groups * len(of_late.groups):
            there = f"{len(self.known_groups)} of {len(of_late.groups)} usual groups are there"
            yield f"{there}, fewer than {self.limits.groups:.0%}; not there: {bounded(absent, SHOWN)}"


@dataclass(frozen=True)
class Look:
    """What a look at a partition has seen, without reading rows."""

    arrived: Arrived
    state: str
    """What tells it from what another look sees: of what has arrived, of what is asked of it, and of what is usual."""


def look(context: PartitionContext, limits: Freshness) -> Look:
    """Look which days of a partition are there. What is usual counts once all are, as it is asked only then.

    Raises:
        MusterError: when the source cannot be asked; worth another try where it is `retryable`.
        OSError: when the system does not answer.
    """
    arrived = what_arrived(context)
    compared = usual_digest(context) if arrived.whole and (limits.rows or limits.groups) else ""
    return Look(arrived, f"{arrived.digest} {compared} {limits.model_dump_json()}")


def ask(context: PartitionContext, limits: Freshness, arrived: Arrived) -> Answer:
    """Return what is there of a partition, of whose days `arrived` is known.

    Rows are read only once all days are there: their keys and times, by this process, a block at a time.

    Raises:
        MusterError: when the source cannot be asked; worth another try where it is `retryable`.
        OSError: when the system does not answer.
    """
    if not arrived.whole:
        return Answer(arrived, limits)
    return Answer(arrived, limits, count_rows_and_groups(context, arrived.arrivals), usual(context))
