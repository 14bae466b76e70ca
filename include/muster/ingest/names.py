"""Groups' names and rows' ids, by column: the same texts that `muster.groups.name` gives row by row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.errors import MusterError, bounded
from muster.settings import command
from muster.workload.spec import Workload

WHITE_SPACE = "".join(rf"\x{{{ord(character):x}}}" for character in map(chr, range(0x10000)) if character.isspace())
"""What Python's `str.strip` takes off, for the regular expressions of Arrow, whose `\\s` is ASCII only."""


class OtherRowIds(MusterError):
    """Raised when rows of `observations` were named by other columns than `unique` has now."""

    def __init__(self, workload: Workload, days: Iterable[date]) -> None:
        declared = f"[{', '.join(workload.unique)}]" if workload.unique else "row"
        super().__init__(
            f"{workload.name}: the rows in 'observations' of {bounded(map(str, sorted(days)), 3)} have other ids than "
            f"'unique: {declared}' gives them; declare it as before, or have the rows rewritten: "
            f"{command('migrate')} {workload.name}"
        )


ROW_ID = r"#[0-9]+$"
"""How ids end by `unique: row`: see `row_ids`."""

_QUOTED = rf'^$|^\*$|[,"\r\n]|^[{WHITE_SPACE}]|[{WHITE_SPACE}]$'


def names(columns: Sequence[pa.Array]) -> pa.Array:
    """Return each row's canonical text: its values as one CSV row; null where one is missing."""
    return pc.binary_join_element_wise(*(field(text(column)) for column in columns), ",", null_handling="emit_null")


def check_row_ids(workload: Workload, rows: pa.Table) -> None:
    """Check that rows of `observations` have the ids that ingest would give them now.

    By `unique: row` they have ids of its kind: which row of which file one was, its columns do not say.

    Raises:
        OtherRowIds: with the first of their days.
    """
    there = rows["row_id"].combine_chunks()
    if workload.unique:
        other = pc.not_equal(there, names([rows[name].combine_chunks() for name in workload.unique]))
    else:
        other = pc.invert(are_of_rows(there))
    if pc.any(other).as_py():
        raise OtherRowIds(workload, rows["date"].filter(other).unique().to_pylist())


def are_of_rows(ids: pa.Array) -> pa.Array:
    """Return which ids are of the kind that `unique: row` gives."""
    return pc.match_substring_regex(ids, ROW_ID)


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


def field(value: pa.Array) -> pa.Array:
    """Return texts as fields of a CSV row."""
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(value, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(value, _QUOTED), quoted, value)
