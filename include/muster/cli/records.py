"""Rows for programs: CSV, or JSON with an object a line, the same whichever command writes them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TextIO

Records = Iterable[Mapping[str, Any]]


def write_csv(names: Sequence[str], records: Records, out: TextIO) -> None:
    """Write a header and a line a record."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([plain(value) for value in record.values()] for record in records)


def write_json(records: Records, out: TextIO) -> None:
    """Write one array, an object a line."""
    separator = "[\n"
    for record in records:
        out.write(separator + one_line({name: plain(value) for name, value in record.items()}))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def one_line(value: Any) -> str:
    """Return plain values as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return `value` as text where JSON has no such type: ISO 8601 dates and times, null for a NaN."""
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
