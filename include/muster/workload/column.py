"""A landed column, read from its short form: `float? [0, 100]`."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Literal, get_args

from pydantic import ConfigDict

from muster.printable import cell
from muster.workload.section import Section

ColumnType = Literal["string", "int", "float", "bool", "date", "timestamp"]

MAX_WIDTH = 200
"""Longer texts are none: on them the pattern would take the square of their length."""

_COLUMN_PATTERN = re.compile(r"^(?P<type>[a-z]+)(?P<optional>\?)?(?:\s*\[\s*(?P<low>[^,\]]*),(?P<high>[^,\]]*)\])?$")


class Column(Section):
    """A landed column: `float? [0, 100]` reads as type, may be missing (`?`), and its inclusive range."""

    model_config = ConfigDict(allow_inf_nan=True)  # a limit may be infinite: it is none

    type: ColumnType
    optional: bool = False
    low: int | float | None = None
    high: int | float | None = None


def parse_column(text: object) -> object:
    """Return the parts of a column's text.

    Raises:
        ValueError: when it is none.
    """
    if isinstance(text, dict):
        return text
    match = _COLUMN_PATTERN.match(text.strip()) if isinstance(text, str) and len(text) <= MAX_WIDTH else None
    if match is None:
        raise ValueError(
            f"'{cell(text)}' is no column: write a type, '?' if it may be missing, a range: 'float? [0, 100]'"
        )
    if match["type"] not in get_args(ColumnType):
        raise ValueError(f"'{match['type']}' is no type of a column; there is: {', '.join(get_args(ColumnType))}")
    return {"type": match["type"], "optional": bool(match["optional"]), **_limits(match)}


def parse_time(declared: object) -> object:
    """Return the column of `time`, which may be written `{column: at, zone: Europe/Berlin}`.

    Raises:
        ValueError: for other keys, or without the column.
    """
    if not isinstance(declared, dict):
        return declared
    if others := [str(key) for key in declared if key not in ("column", "zone")]:
        raise ValueError(f"'{cell(others[0])}' is no key of this section; there is: column, zone")
    if declared.get("column") is None:
        raise ValueError("names no column; write it as {column: at, zone: Europe/Berlin}")
    return declared["column"]


def parse_unique(declared: object) -> object:
    """Return the columns of `unique`: none of `row`, by which each row is an observation of its own.

    Raises:
        ValueError: for any other word, and for no columns.
    """
    if declared == "row":
        return ()
    if isinstance(declared, str):
        how = f"write the columns that tell rows of a day apart, as [{cell(declared)}], or 'row' where none do"
        raise ValueError(f"'{cell(declared)}' is neither a list nor 'row'; {how}")
    if isinstance(declared, (list, tuple)) and not declared:
        raise ValueError("is empty; write the columns that tell rows of a day apart, or 'row' where none do")
    return declared


def _limits(match: re.Match[str]) -> dict[str, int | float]:
    """Return the limits; of whole numbers whole ones, which floats above 2 ** 53 are not."""
    try:
        limits = {side: _limit(match[side], match["type"]) for side in ("low", "high") if (match[side] or "").strip()}
    except ValueError:
        raise ValueError(f"'{match[0]}': a range is of two numbers: [0, 100], or of one: [0, ]") from None
    if limits and match["type"] not in ("int", "float"):
        raise ValueError(f"'{match[0]}': only int and float columns have a range")
    if limits.get("low", -math.inf) > limits.get("high", math.inf):
        raise ValueError(f"'{match[0]}': the range ends before it begins")
    return limits


def _limit(text: str, kind: str) -> int | float:
    number = float(text)
    if math.isnan(number):
        raise ValueError(text)
    if kind != "int" or not math.isfinite(number):
        return number
    exact = Decimal(text.strip())  # however it is written: 1e17, 9007199254740993.0
    return int(exact) if exact == int(exact) else number
