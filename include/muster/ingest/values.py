"""The values of landed texts: how a text of each declared type may be written, and what it then means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.ingest.clocks import moments
from muster.storage.tables import ARROW_TYPES
from muster.workload.column import ColumnType
from muster.workload.zone import A_DAY, EPOCH, begins, moment_of

BLANKS = "".join(map(chr, range(33)))
"""What may stand around a value of any type but string: blanks and control characters."""

BOOLEANS = dict.fromkeys(("t", "true", "y", "yes", "1"), True) | dict.fromkeys(("f", "false", "n", "no", "0"), False)
"""Truth values, whatever the case."""

LARGEST_OFFSET = timedelta(hours=18)

_INTEGER = re.compile(r"[+-]?\d{1,100}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DATE = r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
_DAY = re.compile(rf"{_DATE}(?:[T ]00:00(?::00(?:\.0+)?)?)?", re.ASCII)
_TIME = re.compile(
    rf"{_DATE}(?:[T ](?P<hour>\d{{1,2}}):(?P<minute>\d{{1,2}})(?::(?P<second>\d{{1,2}})(?:\.(?P<fraction>\d{{1,9}}))?)?"
    r" ?(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?)?)?",
    re.ASCII,
)

_PARTS = ("year", "month", "day", "hour", "minute", "second")

PLAIN: Mapping[ColumnType, str] = {
    "int": r"^-?[0-9]{1,18}$",
    "float": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
    "date": r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$",
    "timestamp": r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
}
"""How nearly all texts are written. Arrow reads these to the values that `value` gives, a hundred times as fast."""


def values(texts: pa.Array, kind: ColumnType, zone: str | None = None) -> pa.Array:
    """Return texts as values of a declared type, null where one does not read as such.

    A time that is written without an offset is what the clocks of `zone` show, else UTC.
    """
    if kind == "string":
        return texts
    arrow_type, given = ARROW_TYPES[kind], texts.is_valid()
    plain = pa.scalar(False)
    result = pa.nulls(len(texts), arrow_type)
    if kind in PLAIN:
        plain = pc.fill_null(pc.match_substring_regex(texts, PLAIN[kind]), False)
        try:
            result = pc.if_else(plain, texts, pa.scalar(None, pa.string())).cast(_without_zone(arrow_type))
            result = moments(result, zone) if kind == "timestamp" and zone else result
        except pa.ArrowInvalid:  # a 30 February among them
            plain = pa.scalar(False)
    others = pc.and_(given, pc.invert(plain))
    if pc.any(others).as_py():
        rare = texts.filter(others).dictionary_encode()
        read = pa.array([value(text, kind, zone) for text in rare.dictionary.to_pylist()], arrow_type)
        result = pc.replace_with_mask(result.cast(arrow_type), others, read.take(rare.indices))
    if kind == "float":
        result = pc.if_else(pc.is_finite(result), result, pa.scalar(None, arrow_type))
    return result.cast(arrow_type)


def value(text: str, kind: ColumnType, zone: str | None = None) -> Any:
    """Return the value of one text, None where it does not read as one."""
    text = text.strip(BLANKS)
    if kind == "timestamp" and zone is not None and (shown := _shown(text)) is not None:
        return _in_zone(text, shown, zone)
    return READ[kind](text)


def is_skipped(text: str, zone: str) -> bool:
    """Return whether a text is a time without an offset that the clocks of a zone skip."""
    text = text.strip(BLANKS)
    shown = _shown(text) if ":" in text else None
    return shown is not None and moment_of(zone, shown) is None


def _integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _decimal(text: str) -> float | None:
    number = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def _day(text: str) -> date | None:
    """Return the day of `2024-01-08`; a time beside it must be midnight, since it is lost."""
    match = _DAY.fullmatch(text)
    try:
        return date(*map(int, match.group("year", "month", "day"))) if match else None
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    """Return the moment of a day, with or without a time and an offset; digits below a microsecond are cut off."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[name] or 0) for name in _PARTS)
    microsecond = int(f"{match['fraction'] or '0':0<6.6}")
    offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    if offset > LARGEST_OFFSET or int(match["minutes"] or 0) > 59:
        return None
    zone = timezone(-offset if match["sign"] == "-" else offset)
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shown(text: str) -> int | None:
    """Return what clocks show at a time that is written without an offset; None where it is none such."""
    match = _TIME.fullmatch(text)
    moment = None if match is None or match["zone"] else _moment(text)
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def _in_zone(text: str, shown: int, zone: str) -> datetime | None:
    """Return the first moment at which clocks show a time; of a day alone that at which it begins."""
    moment = moment_of(zone, shown) if ":" in text else begins(zone, shown // A_DAY)
    try:
        return None if moment is None else EPOCH + timedelta(microseconds=moment)
    except OverflowError:
        return None


READ: Mapping[ColumnType, Callable[[str], Any]] = {
    "int": _integer,
    "float": _decimal,
    "bool": lambda text: BOOLEANS.get(text.lower()),
    "date": _day,
    "timestamp": _moment,
}
"""The one definition of what a landed text means."""


def _without_zone(arrow_type: pa.DataType) -> pa.DataType:
    return pa.timestamp(arrow_type.unit) if pa.types.is_timestamp(arrow_type) else arrow_type
