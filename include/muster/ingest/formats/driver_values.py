"""What a database's driver gives, as columns: values of Python, strictly of the types that read as the declared one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from muster.errors import bounded
from muster.ingest.formats.opened import BadContent
from muster.storage.tables import ARROW_TYPES, DATE, STRING
from muster.workload.column import ColumnType
from muster.workload.spec import Workload

READS: Mapping[ColumnType, tuple[type, ...]] = {
    "string": (UUID,),
    "int": (int, Decimal),
    "float": (int, float, Decimal),
    "bool": (bool,),
    "date": (date,),
    "timestamp": (datetime, date),
}
"""Which values, beside texts, read as a declared type; of a Decimal as int those without digits after the point."""

_KINDS = (str, bool, int, float, Decimal, datetime, date, UUID)
"""The first that a value is an instance of is its type: True is no int here, and a datetime no date."""


def values_batch(workload: Workload, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Return rows, whose values are in the order of the declared columns, as a `RowBlock` has them.

    Raises:
        BadContent: with the columns of other types than declared.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(workload.columns)
    other, arrays = [], []
    for (name, declared), values in zip(workload.columns.items(), columns, strict=True):
        if problem := _other_type(values, declared.type):
            reads = ", ".join(kind.__name__ for kind in (*READS[declared.type], str))
            other.append(f"'{name}' is {problem}, declared is {declared.type}, which is read of {reads}")
        else:
            arrays.append(_array(values, declared.type))
    if other:
        raise BadContent(f"has columns of other types than {workload.name} declares: {bounded(other, 5)}")
    return pa.record_batch(arrays, names=list(workload.columns))


def _other_type(values: Sequence[Any], declared: ColumnType) -> str | None:
    """Return of which type a column is that does not read as the declared one."""
    kinds = {_kind(value) for value in values} - {type(None)}
    if other := sorted(kind.__name__ for kind in kinds - {str, *READS[declared]}):
        return " and ".join(other)
    if declared == "int" and Decimal in kinds and any(map(_is_fraction, values)):
        return "Decimal with digits after the point"
    return None


def _kind(value: object) -> type:
    return next((kind for kind in _KINDS if isinstance(value, kind)), type(value))


def _is_fraction(value: object) -> bool:
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return isinstance(exponent, int) and exponent < 0


def _array(values: Sequence[Any], declared: ColumnType) -> pa.Array:
    """Return values as an array that reads as the declared type; as texts where some are, or are beyond the type."""
    if declared != "string" and not any(isinstance(value, str) for value in values):
        of_type = _OF_TYPE.get(declared, lambda value: value)
        try:
            arrow_type = _type_of_times(values) if declared == "timestamp" else ARROW_TYPES[declared]
            return pa.array([None if value is None else of_type(value) for value in values], arrow_type)
        except (pa.ArrowInvalid, OverflowError, ValueError):  # as texts, those that fit are read, and others refused
            pass
    return pa.array([None if value is None else _text(value) for value in values], STRING)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


_OF_TYPE: Mapping[ColumnType, Callable[[Any], Any]] = {"int": int, "float": float}


def _type_of_times(values: Sequence[date | None]) -> pa.DataType:
    """Return the type of moments, of what clocks show, or of days, whichever all of these times are.

    Raises:
        ValueError: when they are not all of one.
    """
    kinds = {_kind_of_time(value) for value in values if value is not None} or {DATE}
    (kind,) = kinds
    return kind


def _kind_of_time(value: date) -> pa.DataType:
    if not isinstance(value, datetime):
        return DATE
    return pa.timestamp("us") if value.tzinfo is None else ARROW_TYPES["timestamp"]
