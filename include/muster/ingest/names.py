"""Groups' names and rows' ids, by column: the same texts that `muster.groups.name` gives row by row."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from muster import groups

WHITE_SPACE = "".join(rf"\x{{{ord(character):x}}}" for character in map(chr, range(0x10000)) if character.isspace())
"""What Python's `str.strip` takes off, for the regular expressions of Arrow, whose `\\s` is ASCII only."""

_QUOTED = rf'^$|^\*$|[,"\r\n]|^[{WHITE_SPACE}]|[{WHITE_SPACE}]$'


def names(columns: Sequence[pa.Array]) -> pa.Array:
    """Return each row's canonical text: its values as one CSV row; null where one is missing."""
    return pc.binary_join_element_wise(*(_field(text(column)) for column in columns), ",", null_handling="emit_null")


def text(values: pa.Array) -> pa.Array:
    """Return values as they stand in names: dates and times without what is zero at their end."""
    if pa.types.is_timestamp(values.type):
        return _times(values.cast(pa.timestamp("us")))
    if pa.types.is_floating(values.type):
        return pa.array([None if value is None else repr(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def buckets(group_names: pa.Array, count: int) -> pa.Array:
    """Return the bucket of each group."""
    distinct = group_names.dictionary_encode()
    of_name = pa.array([groups.bucket(name, count) for name in distinct.dictionary.to_pylist()], pa.int32())
    return of_name.take(distinct.indices)


def _times(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.timestamp("s")).cast(pa.string())
    except pa.ArrowInvalid:  # some have parts of a second
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.?0+$", "")


def _field(value: pa.Array) -> pa.Array:
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(value, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(value, _QUOTED), quoted, value)
