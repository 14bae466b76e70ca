"""The suite's tiers: what each starts, how many minutes of a worker it may take, and what a run took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Report(Protocol):
    """What pytest reports of one phase of a test: set-up, call or tear-down."""

    nodeid: str
    keywords: Mapping[str, Any]
    duration: float


@dataclass(frozen=True)
class Tier:
    """A tier and the minutes of one worker that all its tests may take together, set-ups included."""

    name: str
    budget: float
    starts: str
    holds: Callable[[Report], bool]


TIERS = (
    Tier("e2e", 10, "the whole of Muster, by `./muster up`", lambda report: "e2e" in report.keywords),
    Tier("faults", 5, "MLflow behind a proxy that fails it", lambda report: "/mlflow_faults/" in report.nodeid),
    Tier("spark", 11, "Spark: Connect, local, a cluster", lambda report: "spark" in report.keywords),
    Tier("services", 8, "an MLflow server, processes", lambda report: "slow" in report.keywords),
    Tier("quick", 4, "nothing: `./muster test --quick`", lambda report: True),
)
"""A test is of the first tier that holds it."""


def tier_of(report: Report) -> str:
    """Return the name of a report's tier."""
    return next(tier.name for tier in TIERS if tier.holds(report))


def minutes(reports: Iterable[Report]) -> Counter[str]:
    """Return the minutes of a worker that each tier took."""
    taken: Counter[str] = Counter()
    for report in reports:
        taken[tier_of(report)] += report.duration / 60  # type: ignore[assignment]
    return taken


def lines(reports: Iterable[Report]) -> list[str]:
    """Return a line for each tier that ran: what it took, its budget, and whether it is over it."""
    taken = minutes(reports)
    return [
        f"{tier.name:<9}{taken[tier.name]:6.1f} min of {tier.budget:3.0f}"
        f"{'   OVER' if taken[tier.name] > tier.budget else ''}"
        for tier in TIERS
        if taken[tier.name]
    ]
