"""Read JSON, an object a line: quickly by Arrow what is as declared, the rest line by line, to the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import json as arrow_json

from muster.ingest.formats import csv_rows
from muster.ingest.formats.columns import check_columns
from muster.ingest.formats.opened import BadContent, Stream, not_utf_8, opened_text, without_mark
from muster.ingest.sources.kind import RowBlock
from muster.storage.tables import ARROW_TYPES, STRING
from muster.workload.column import ColumnType
from muster.workload.spec import Workload

NO_OBJECT, TWICE = "row: no JSON object", "row: a key is there twice"
"""Why a line is no row."""

_OBJECTS = re.compile(rb"(?:[ \t\r]*+(?:\{[^\n]*\}[ \t\r]*+)?\n)*+")
"""Lines that Arrow may be given: of others it takes two for one row, or ends the process."""


_ARRAY = re.compile(rb"\s*\[\s*\{")


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


class _Misfit(ValueError):
    """Raised for a line that is no row: why."""


class _Repeating(dict[str, Any]):
    """An object that has a key twice."""


def read(workload: Workload, file: str) -> Iterator[RowBlock]:
    """Yield a file's rows in their order; a key that is not there is a missing value.

    Raises:
        BadContent: when it is cut off, of 0 bytes, a folder, not of its encoding, or has keys that are not declared.
        OSError: when the system does not give it.
    """
    line = 1
    with opened_text(file, workload.source.encoding) as stream:
        for content, unfinished in _blocks(stream):
            rows = without_mark(content) if line == 1 else content
            if line == 1 and _ARRAY.match(rows):
                raise BadContent(
                    "is one JSON array; write an object a line, without the brackets and commas around them"
                )
            if rows.strip():
                yield _parse(workload, file, rows, line, unfinished)
            line += content.count(b"\n")


def _blocks(stream: Stream) -> Iterator[tuple[bytes, bool]]:
    """Yield whole lines, and whether the last of them had no end."""
    rest = b""
    while content := bytes(stream.read(csv_rows.BLOCK_BYTES)):
        lines, end, rest = (rest + content).rpartition(b"\n")
        if len(rest) > csv_rows.LONGEST_ROW:
            raise BadContent(f"has a row of more than {csv_rows.LONGEST_ROW >> 20} MiB")
        if end:
            yield lines + end, False
    if rest:
        yield rest + b"\n", True


def _parse(workload: Workload, file: str, content: bytes, line: int, unfinished: bool) -> RowBlock:
    try:
        pa.array([content], pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise not_utf_8(file) from error
    if (rows := _as_declared(workload, content)) is not None:
        return RowBlock(rows)
    block = _line_by_line(workload, content, line)
    last = content.decode().split("\n")[-2].strip(" \t\r")
    if unfinished and any(text == last for _, text in block.misfits):
        raise BadContent(f"is cut off within its last row: '{last[:200]}'")
    return block


def _as_declared(workload: Workload, content: bytes) -> pa.RecordBatch | None:
    """Return lines as values; None where one of them is not quite as declared."""
    ignored = not workload.source.refuses_extra
    if not _OBJECTS.fullmatch(content) or (ignored and _nearly(tuple(workload.columns)).search(content)):
        return None
    kinds = {name: column.type for name, column in workload.columns.items()}
    schema = pa.schema([(name, _parsed_as(kind)) for name, kind in kinds.items()])
    try:
        rows = arrow_json.read_json(
            pa.BufferReader(content),
            arrow_json.ReadOptions(use_threads=False, block_size=len(content) + 1),
            arrow_json.ParseOptions(schema, unexpected_field_behavior="ignore" if ignored else "error"),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    taken = rows.num_rows
    if not taken or (
        taken != content.count(b"\n") and taken != sum(1 for text in content.split(b"\n") if text.strip())
    ):
        return None
    return rows.select(schema.names).combine_chunks().to_batches()[0]


def _parsed_as(kind: ColumnType) -> pa.DataType:
    return ARROW_TYPES[kind] if kind in ("int", "float", "bool") else STRING


@cache
def _nearly(names: Sequence[str]) -> re.Pattern[bytes]:
    """Return what finds a key that is nearly a declared one: with other capitals or blanks."""
    any_of = "|".join(names).encode()
    return re.compile(rb'"(?!(?:%b)")[ \t]*(?i:%b)[ \t]*"[ \t]*:' % (any_of, any_of))


def _line_by_line(workload: Workload, content: bytes, first: int) -> RowBlock:
    """Return lines as texts; those that are no rows are misfits.

    Raises:
        BadContent: for a key that is not declared, with its line.
    """
    rows: list[list[str | None]] = []
    misfits: list[tuple[str, str]] = []
    for number, line in enumerate(content.decode().split("\n"), first):
        text = line.strip(" \t\r")
        try:
            if text:
                row = _object(text)
                if row.keys() - workload.columns.keys():
                    check_columns(workload, list(row), may_lack=True, where=f" in line {number}")
                rows.append([_text(name, row.get(name), column.type) for name, column in workload.columns.items()])
        except _Misfit as error:
            misfits.append((str(error), text))
    columns = zip(*rows, strict=True) if rows else [()] * len(workload.columns)
    texts = [pa.array(column, STRING) for column in columns]
    return RowBlock(pa.record_batch(texts, names=list(workload.columns)), misfits)


def _object(text: str) -> Mapping[str, Any]:
    """Return what a line holds by its keys.

    Raises:
        _Misfit: when it is no object.
    """
    try:
        row = json.loads(text, object_pairs_hook=_pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError) as error:
        raise _Misfit(NO_OBJECT) from error
    if not isinstance(row, dict):
        raise _Misfit(NO_OBJECT)
    if isinstance(row, _Repeating):
        raise _Misfit(TWICE)
    return row


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    return row if len(row) == len(pairs) else _Repeating(row)


def _text(name: str, value: Any, kind: ColumnType) -> str | None:
    """Return a value as the text that it is checked as.

    Raises:
        _Misfit: when no value of the declared type is written like that.
    """
    if value is None:
        return None
    if isinstance(value, bool) and kind == "bool":
        return str(value).lower()
    if isinstance(value, str) and (not isinstance(value, _Number) or kind in ("int", "float")):
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a pair, as "\\ud83d"
            raise _Misfit(NO_OBJECT) from error
        return str(value)
    raise _Misfit(f"{name}: not of type {kind}")
