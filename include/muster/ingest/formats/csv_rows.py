"""Cut a CSV file into whole rows, block by block: so no file is too large, and a broken row costs no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from muster.ingest.formats.opened import BadContent, Stream, without_mark

BLOCK_BYTES = 32 * 2**20
"""Bytes that are read at once."""

LONGEST_ROW = 4 * 2**20
"""Bytes of a row; a quoted field that is open for longer was never closed."""

_END = rb"(?:\r\n|\n|\r)"
_LINE = re.compile(rb"[^\r\n]*+%b" % _END)


@dataclass(frozen=True)
class Grammar:
    """How rows look that a delimiter divides."""

    first_row: re.Pattern[bytes]
    rows: re.Pattern[bytes]


@cache
def grammar(delimiter: str) -> Grammar:
    """Return it. A quote counts where a field begins with it; within a quoted field it is doubled."""
    sign = re.escape(delimiter.encode())
    blanks = b"".join(blank for blank in (b" ", b"\t") if blank != delimiter.encode())
    quoted = rb'"(?:[^"]++|"")*+"[%b]*+(?=[%b\r\n])' % (blanks, sign)
    field = rb'(?:%b|[^"%b\r\n][^%b\r\n]*+|(?=[%b\r\n]))' % (quoted, sign, sign, sign)
    row = rb"%b(?:%b%b)*+%b" % (field, sign, field, _END)
    return Grammar(re.compile(row), re.compile(rb"(?:%b)*+" % row))


@dataclass(frozen=True)
class Block:
    """A part of a file."""

    rows: bytes
    """Whole rows, one after another."""
    broken: list[bytes]
    """Lines that are no rows: a quote in them is not closed, or not doubled."""
    begins_broken: bool = False
    """Whether the first of those comes before any row."""
    unfinished: bytes = b""
    """The file's last line where it has no line's end: it may be a part of a row."""


def blocks(stream: Stream, delimiter: str = ",") -> Iterator[Block]:
    """Yield a file's rows in their order; the header is the first of them.

    Raises:
        BadContent: when a line is longer than `LONGEST_ROW`.
    """
    rest = b""
    while content := stream.read(BLOCK_BYTES):
        block, rest = _cut(rest + bytes(content), delimiter, ended=False)
        if block.rows or block.broken:
            yield block
    if rest:
        # Arrow takes an empty last field for a quoted one where no line's end follows it.
        block, _ = _cut(rest + b"\n", delimiter, ended=True)
        yield replace(block, unfinished=re.split(rb"[\r\n]", rest)[-1])


def split_header(first: Block, delimiter: str = ",") -> tuple[list[str], Block]:
    """Return the names in a file's first row, and the block without it.

    Raises:
        BadContent: when the first row is none, or is not UTF-8.
    """
    content = without_mark(first.broken[0] if first.begins_broken else first.rows)
    row = grammar(delimiter).first_row.match(content)
    if row and b"\0" in row.group():
        raise BadContent("is UTF-16 or UTF-32; write it as UTF-8")
    if row is None:
        raise BadContent("begins with a header that has a quote which is not closed, or not doubled")
    try:
        names = next(csv.reader(io.StringIO(row.group().decode(), newline=""), delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise BadContent("has a header that is not UTF-8; write it as UTF-8, or declare its 'encoding'") from error
    return names, replace(first, rows=content[row.end() :])


def _cut(content: bytes, delimiter: str, ended: bool) -> tuple[Block, bytes]:
    """Return the whole rows of `content`, and what is left for the next block."""
    pieces: list[bytes] = []
    broken: list[bytes] = []
    at = 0
    while True:
        end = _end_of_rows(content, at, delimiter)
        pieces.append(content[at:end])
        at = end
        if at == len(content) or (not ended and len(content) - at < LONGEST_ROW):
            return Block(b"".join(pieces), broken, bool(broken) and not pieces[0]), content[at:]
        line = _LINE.match(content, at)
        if line is None:
            raise BadContent(f"has a row of more than {LONGEST_ROW >> 20} MiB")
        broken.append(line.group().rstrip(b"\r\n"))
        at = line.end()


def _end_of_rows(content: bytes, at: int, delimiter: str) -> int:
    """Return where the last whole row ends, before a broken one or the content's end."""
    if content.find(b'"', at) < 0:
        return max(content.rfind(b"\n", at), content.rfind(b"\r", at), at - 1) + 1
    rows = grammar(delimiter).rows.match(content, at)
    return rows.end() if rows else at
