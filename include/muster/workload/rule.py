"""A rule across two columns of a landed row, `quoted >= received - 10 min`: parsed, never evaluated as code."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from muster.printable import cell

if TYPE_CHECKING:  # Airflow reads rules, and compares nothing
    import numpy as np

Comparison = Literal["<=", ">=", "==", "!=", "<", ">"]
COMPARE: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
MICROSECONDS = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
"""What a unit of time is worth: times are compared in microseconds, dates too."""

MAX_WIDTH = 400
"""Two names of a hundred characters and an amount fit well; a longer text is none."""

_RULE_PATTERN = re.compile(
    r"(?P<left>[A-Za-z_]\w*)\s*(?P<comparison><=|>=|==|!=|<|>)\s*(?P<right>[A-Za-z_]\w*)"
    r"(?:\s*(?P<sign>[+-])\s*(?P<number>\d{1,12}(?:\.\d{1,12})?)\s*(?P<unit>s|min|h|d)?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Rule:
    """What holds for a good row: `left` compared to `right` plus an amount. Where one is missing, nothing is broken."""

    left: str
    comparison: Comparison
    right: str
    plus: float = 0.0
    unit: Literal["s", "min", "h", "d"] | None = None

    def holds(self, left: np.ndarray, right: np.ndarray) -> Any:
        """Compare two columns of values: numbers, text or truth values as they are, times and dates as microseconds.

        Two of whole numbers are compared exactly, a whole one beside a float as 64-bit floats.
        """
        amount = round(self.plus * MICROSECONDS[self.unit]) if self.unit else self.plus
        if not amount:
            return COMPARE[self.comparison](left, right)
        if left.dtype == right.dtype == "int64":
            return COMPARE[self.comparison](_difference(left, right), amount)
        return COMPARE[self.comparison](left, right + amount)


def _difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return `left - right`; where that is more than 64 bits hold, the nearest that they do, far beyond any amount."""
    import numpy as np

    difference = left - right
    overflowed = ((left ^ right) & (left ^ difference)) < 0
    limits = np.iinfo(np.int64)
    return np.where(overflowed, np.where(left < 0, limits.min, limits.max), difference)


def parse_rule(text: object) -> object:
    """Return the parts of a rule's text.

    Raises:
        ValueError: when it is none.
    """
    if isinstance(text, dict):
        return text
    match = _RULE_PATTERN.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= MAX_WIDTH else None
    if match is None:
        raise ValueError(
            f"'{cell(text)}' is no rule: write two columns compared (<=, >=, ==, !=, <, >), the second with or without "
            "an amount: 'bid <= ask', 'received <= quoted + 10 min' (s, min, h, d)"
        )
    plus = float(f"{match['sign']}{match['number']}") if match["number"] else 0.0
    return {**{name: match[name] for name in ("left", "comparison", "right", "unit")}, "plus": plus}
