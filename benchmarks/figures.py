"""What a benchmark returns: a list of figures, each with its goal. README.md beside this file says how to write one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from muster.errors import MusterError


class NeedsStack(MusterError):
    """Raised by a benchmark that measures the running services when they do not run, or have nothing to show."""

    def __init__(self, needed: str) -> None:
        super().__init__(f"{needed}; start it with ./muster up, then run this benchmark again")


@dataclass(frozen=True)
class Figure:
    """One measured number, with at most one of the two goals; without a goal it is there for comparison."""

    name: str
    """What was measured, in a few words: `training, wall against the bare fit floor`."""
    value: float
    unit: str
    """`s`, `x` for a ratio, `calls`, `share`, `MB`, ..."""
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""
    """Sizes, medians and what went into the number: one line."""

    @property
    def goal(self) -> str:
        """The goal as text: `<= 1.3`; empty without one."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one. A value that is no number meets none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.value >= self.at_least if self.at_least is not None else None

    def as_json(self) -> dict[str, Any]:
        """Return `{name, value, unit, goal, met, detail}`."""
        fields = ("name", "value", "unit", "goal", "met", "detail")
        return {field: getattr(self, field) for field in fields}


def median_seconds(measured: Callable[[], object], repeats: int = 3) -> float:
    """Return the median wall time of `repeats` calls, in seconds."""
    return statistics.median(_seconds(measured) for _ in range(repeats))


def _seconds(measured: Callable[[], object]) -> float:
    start = time.perf_counter()
    measured()
    return time.perf_counter() - start
