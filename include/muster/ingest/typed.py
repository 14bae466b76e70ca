"""Columns as values of their declared types, whether they have arrived as text or as values of other types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from muster.ingest.clocks import FIRST_SECOND, LAST_SECOND, first_moments, moments
from muster.ingest.names import text
from muster.ingest.values import is_skipped, values
from muster.storage.tables import ARROW_TYPES, STRING
from muster.workload.column import ColumnType

_A_DAY = 86_400
_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}

READS: Mapping[ColumnType, tuple[Callable[[pa.DataType], bool], ...]] = {
    "string": (),
    "int": (types.is_integer, lambda kind: types.is_decimal(kind) and kind.scale <= 0),
    "float": (types.is_integer, types.is_floating, types.is_decimal),
    "bool": (types.is_boolean,),
    "date": (types.is_date,),
    "timestamp": (types.is_timestamp, types.is_date),
}
"""Which types of values, beside texts, read as a declared one."""


def reads_as(arrived: pa.DataType, kind: ColumnType) -> bool:
    """Return whether values of a type may be values of a declared one; a single value may still be none."""
    if types.is_dictionary(arrived):
        arrived = arrived.value_type
    return is_text(arrived) or types.is_null(arrived) or any(reads(arrived) for reads in READS[kind])


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of texts."""
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def plain(column: pa.Array) -> pa.Array:
    """Return a column without a dictionary, and texts (and what holds nothing) as `string`."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(STRING) if is_text(column.type) or types.is_null(column.type) else column


def typed(column: pa.Array, kind: ColumnType, zone: str | None = None) -> pa.Array:
    """Return a `plain` column as values of a declared type, null where one does not read as such.

    A time without a zone or an offset of its own is what the clocks of `zone` show, else UTC.
    """
    if types.is_string(column.type):
        return values(column, kind, zone)
    return _moments(column, zone) if kind == "timestamp" else _READ[kind](column)


def skipped(column: pa.Array, zone: str) -> pa.Array:
    """Return which values of a `plain` column are times that the clocks of a zone skip."""
    if types.is_string(column.type):
        of = column.dictionary_encode()
        return pa.array([is_skipped(text, zone) for text in of.dictionary.to_pylist()], pa.bool_()).take(of.indices)
    if not types.is_timestamp(column.type) or column.type.tz:
        return pa.repeat(False, len(column))
    return pc.and_(_moments(column).is_valid(), _moments(column, zone).is_null())


def as_texts(rows: pa.RecordBatch, marked: bool = False) -> pa.RecordBatch:
    """Return rows as the texts that people know their values by; times that have a zone are in UTC, `marked` by a Z."""
    return pa.record_batch([_text(column, marked) for column in rows.columns], names=rows.schema.names)


def _text(column: pa.Array, marked: bool) -> pa.Array:
    if types.is_string(column.type):
        return column
    if not types.is_timestamp(column.type):
        return text(column)
    texts = _in_utc(column).cast(STRING)
    return pc.binary_join_element_wise(texts, "Z", "") if marked and column.type.tz else texts


def _integers(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # some are beyond 64 bits
        fitting = [None if value is None or not -(2**63) <= value < 2**63 else int(value) for value in _values(column)]
        return pa.array(fitting, pa.int64())


def _floats(column: pa.Array) -> pa.Array:
    floats = column.cast(pa.float64(), safe=False)  # as a text of so many digits is rounded
    return pc.if_else(pc.is_finite(floats), floats, pa.scalar(None, pa.float64()))


def _days(column: pa.Array) -> pa.Array:
    if types.is_date64(column.type):
        first, last = FIRST_SECOND * 1_000, LAST_SECOND * 1_000
        return _within(column, column.view(pa.int64()), first, last).cast(pa.date32(), safe=False)
    return _within(column, column.view(pa.int32()), FIRST_SECOND // _A_DAY, LAST_SECOND // _A_DAY)


def _moments(column: pa.Array, zone: str | None = None) -> pa.Array:
    if types.is_date(column.type):
        days = _days(column)
        return first_moments(days, zone) if zone else days.cast(ARROW_TYPES["timestamp"])
    numbers, unit = column.view(pa.int64()), column.type.unit
    if unit == "ns":  # which reaches from 1677 to 2262
        shorter = pc.divide(numbers, 1_000)  # towards 1970: before it, one back
        back = pc.less(numbers, pc.multiply(shorter, 1_000)).cast(pa.int64())
        times = pc.subtract(shorter, back).view(pa.timestamp("us"))
    else:
        of_second = _A_SECOND[unit]
        first, last = FIRST_SECOND * of_second, LAST_SECOND * of_second + of_second - 1
        times = _within(_in_utc(column), numbers, first, last).cast(pa.timestamp("us"))
    return moments(times, zone) if zone and column.type.tz is None else times.cast(ARROW_TYPES["timestamp"])


def _in_utc(times: pa.Array) -> pa.Array:
    """Return times without their zone, in UTC, which a time without one is taken for."""
    return times.view(pa.int64()).view(pa.timestamp(times.type.unit))


def _within(column: pa.Array, numbers: pa.Array, first: int, last: int) -> pa.Array:
    within = pc.and_(pc.greater_equal(numbers, first), pc.less_equal(numbers, last))
    return pc.if_else(within, column, pa.scalar(None, column.type))


def _values(column: pa.Array) -> list[Any]:
    listed: list[Any] = column.to_pylist()
    return listed


_READ: Mapping[ColumnType, Callable[[pa.Array], pa.Array]] = {
    "int": _integers,
    "float": _floats,
    "bool": lambda column: column,
    "date": _days,
}
