"""A rule across two columns of a landed row, `quoted >= received - 10 min`: parsed, never evaluated as code."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from muster.printable import cell

Comparison = Literal["<=", ">=", "==", "!=", "<", ">"]
COMPARE: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
MICROSECONDS = {"s": 1e6, "min": 60e6, "h": 3_600e6, "d": 86_400e6}
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

    def holds(self, left: Any, right: Any) -> Any:
        """Compare two columns of values, of any engine whose columns add and compare.

        Numbers come as 64-bit floats, times and dates as such floats of microseconds, text and truth values as they
        are: then every engine finds the same.
        """
        amount = self.plus * MICROSECONDS[self.unit] if self.unit else self.plus
        return COMPARE[self.comparison](left, right + amount if amount else right)


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
