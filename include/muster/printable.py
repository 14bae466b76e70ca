"""Values as one line of text for a terminal or a log."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

MAX_WIDTH = 48
"""Cells of a text before it is cut: group names may have hundreds of characters."""

FOLDED = 10_000
"""Cells of a text that is broken into lines, so that two of them never look alike."""


def cell(value: Any, max_width: int = MAX_WIDTH) -> str:
    """Return a value as one line of printable text: what a landed text holds must not steer the terminal."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))
    return text if len(text) <= max_width else text[: max_width - 1] + "…"


def number(count: int, noun: str) -> str:
    """Return how many there are, in words: `1 group`, `2,000 groups`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
