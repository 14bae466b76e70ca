"""Read CSV, and what is like it with another delimiter, as text, block by block."""

from __future__ import annotations

import csv as python_csv
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from muster.ingest.formats.columns import check_columns, plain
from muster.ingest.formats.csv_rows import Block, blocks, split_header
from muster.ingest.formats.opened import BadContent, not_utf_8, opened_text
from muster.ingest.sources.kind import RowBlock
from muster.workload.spec import Workload

OPEN_QUOTE = "row: a quote is not closed, or not doubled"
MORE, FEWER = "row: more fields than columns", "row: fewer fields than columns"
"""Why a line is no row."""

DELIMITERS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
"""Those that one may have been mistaken for."""


def read(workload: Workload, file: str) -> Iterator[RowBlock]:
    """Yield a file's rows in their order: an empty field is null, `""` the empty text.

    Raises:
        BadContent: when it is cut off, empty, a folder, not of its encoding, or has other columns than declared.
        OSError: when the system does not give it.
    """
    source = workload.source
    header: list[str] | None = None
    with opened_text(file, source.encoding) as stream:
        for block in blocks(stream, source.separator):
            if header is None:
                header, block = _header(workload, file, block)
            yield _parse(workload, file, header, block)
    if header is None:
        check_columns(workload, [])


def _header(workload: Workload, file: str, block: Block) -> tuple[list[str], Block]:
    try:
        header, block = split_header(block, workload.source.separator)
        check_columns(workload, header)
    except BadContent as error:
        raise BadContent(f"{error}{_delimiter_hint(workload, file)}") from error
    return header, block


def _parse(workload: Workload, file: str, header: Sequence[str], block: Block) -> RowBlock:
    """Return a block as text by column; a line with more or fewer fields than the header is a misfit."""
    misfits = [(OPEN_QUOTE, line.decode(errors="replace")) for line in block.broken]

    def leave_out(row: csv.InvalidRow) -> str:
        misfits.append((MORE if row.actual_columns > row.expected_columns else FEWER, row.text))
        return "skip"

    schema = pa.schema([(name, pa.string()) for name in workload.columns])
    rows = schema.empty_table()
    if block.rows.strip(b"\r\n"):
        try:
            # First, since Arrow drops a misfit that is not UTF-8 without a word.
            pa.array([block.rows], pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid as error:
            raise not_utf_8(file) from error
        try:
            rows = csv.read_csv(
                pa.BufferReader(block.rows),
                # One block, one thread: the rows stay in their order.
                csv.ReadOptions(use_threads=False, block_size=len(block.rows) + 1, column_names=header),
                csv.ParseOptions(
                    delimiter=workload.source.separator, newlines_in_values=True, invalid_row_handler=leave_out
                ),
                csv.ConvertOptions(
                    column_types=schema,
                    include_columns=schema.names,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise BadContent(f"does not read as CSV: {str(error)[:200]}") from error
    unfinished = block.unfinished.decode(errors="replace")
    if unfinished in [line for _, line in misfits]:
        raise BadContent(f"is cut off within its last row: '{unfinished[:200]}'")
    _check_one_header(workload, file, header, rows)
    batches = rows.combine_chunks().to_batches()  # one, or none of no rows
    return RowBlock(batches[0] if batches else pa.RecordBatch.from_pylist([], schema), misfits)


def _check_one_header(workload: Workload, file: str, header: Sequence[str], rows: pa.Table) -> None:
    """Check that no row is the header once more, as where files were put together: what follows may be of others.

    No header passes for a time, so only rows whose time is a column's name are looked at.
    """
    suspicious = pc.is_in(rows[workload.time], value_set=pa.array(header, pa.string()))
    if not pc.any(suspicious).as_py():
        return
    for row in rows.filter(suspicious).to_pylist():
        values = list(row.values())
        if set(values) <= set(header) and len(set(values)) == len(values):
            again = (number for number, names in _lines(workload, file) if number > 1 and set(names) == set(header))
            line = next((f" in line {number}" for number in again), "")
            raise BadContent(f"has a header once more{line}: it is several files in one; deliver them one by one")


def _lines(workload: Workload, file: str, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield a file's lines by their numbers, each cut into fields: to tell what is wrong, not to read them."""
    with opened_text(file, workload.source.encoding) as stream:
        rest, number = "", 0
        while content := bytes(stream.read(2**20)):
            *lines, rest = re.split(r"\r\n|\n|\r(?!$)", rest + content.decode(errors="replace"))
            for number, line in enumerate(lines, number + 1):  # noqa: B020
                yield number, _fields(line, delimiter or workload.source.separator)
        yield number + 1, _fields(rest, delimiter or workload.source.separator)


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(python_csv.reader([line.removeprefix("\ufeff")], delimiter=delimiter), [])
    except python_csv.Error:
        return []


def _delimiter_hint(workload: Workload, file: str) -> str:
    """Return by what a file's header seems to be delimited, where the declared delimiter finds no column in it."""
    declared, own = {plain(name) for name in workload.columns}, workload.source.separator

    def known(delimiter: str) -> int:
        _, names = next(_lines(workload, file, delimiter), (1, list[str]()))
        return len(declared.intersection(map(plain, names)))

    likely = max(DELIMITERS, key=known)
    if likely == own or known(likely) <= max(known(own), len(declared) > 1):
        return ""
    written = "\\t" if likely == "\t" else likely
    return (
        f". It seems to be delimited by {DELIMITERS[likely]}, not by {DELIMITERS.get(own, repr(own))}: "
        f"declare 'delimiter: \"{written}\"' if that is meant"
    )
