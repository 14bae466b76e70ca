"""Cut a CSV file into whole rows, block by block: so no file is too large, and a broken row costs no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

BLOCK_BYTES = 32 * 2**20
"""Bytes that are read at once."""

LONGEST_ROW = 4 * 2**20
"""Bytes of a row; a quoted field that is open for longer was never closed."""

_END = rb"(?:\r\n|\n|\r)"
_FIELD = rb'(?:"(?:[^"]++|"")*+"[ \t]*+(?=[,\r\n])|[^",\r\n][^,\r\n]*+|(?=[,\r\n]))'
_ROW = rb"%b(?:,%b)*+%b" % (_FIELD, _FIELD, _END)
"""A quote counts where a field begins with it; within a quoted field it is doubled."""

_FIRST_ROW, _ROWS = re.compile(_ROW), re.compile(rb"(?:%b)*+" % _ROW)
_LINE = re.compile(rb"[^\r\n]*+%b" % _END)


class NoRows(ValueError):
    """Raised for a file that cannot be cut into rows: with the problem."""


class Stream(Protocol):
    """What blocks are read from."""

    def read(self, nbytes: int, /) -> bytes:
        """Return the next bytes, none at the end."""


@dataclass(frozen=True)
class Block:
    """A part of a file."""

    rows: bytes
    """Whole rows, one after another."""
    broken: list[bytes]
    """Lines that are no rows: a quote in them is not closed, or not doubled."""
    unfinished: bytes = b""
    """The file's last line where it has no line's end: it may be a part of a row."""


def blocks(stream: Stream) -> Iterator[Block]:
    """Yield a file's rows in their order; the header is the first of them.

    Raises:
        NoRows: when a line is longer than `LONGEST_ROW`.
    """
    rest = b""
    while content := stream.read(BLOCK_BYTES):
        block, rest = _cut(rest + bytes(content), ended=False)
        if block.rows or block.broken:
            yield block
    if rest:
        # Arrow takes an empty last field for a quoted one where no line's end follows it.
        block, _ = _cut(rest + b"\n", ended=True)
        yield replace(block, unfinished=re.split(rb"[\r\n]", rest)[-1])


def split_header(first: Block) -> tuple[list[str], Block]:
    """Return the names in a file's first row, and the block without it.

    Raises:
        NoRows: when the first row is none, or is not UTF-8.
    """
    content = first.rows.removeprefix(b"\xef\xbb\xbf")
    row = _FIRST_ROW.match(content)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or (row and b"\0" in row.group()):
        raise NoRows("is UTF-16 or UTF-32; write it as UTF-8")
    if row is None:
        raise NoRows("begins with a header that has a quote which is not closed, or not doubled")
    try:
        names = next(csv.reader(io.StringIO(row.group().decode(), newline="")), [])
    except UnicodeDecodeError as error:
        raise NoRows("has a header that is not UTF-8; write it as UTF-8") from error
    return names, replace(first, rows=content[row.end() :])


def _cut(content: bytes, ended: bool) -> tuple[Block, bytes]:
    """Return the whole rows of `content`, and what is left for the next block."""
    pieces: list[bytes] = []
    broken: list[bytes] = []
    at = 0
    while True:
        end = _end_of_rows(content, at)
        pieces.append(content[at:end])
        at = end
        if at == len(content) or (not ended and len(content) - at < LONGEST_ROW):
            return Block(b"".join(pieces), broken), content[at:]
        line = _LINE.match(content, at)
        if line is None:
            raise NoRows(f"has a row of more than {LONGEST_ROW >> 20} MiB")
        broken.append(line.group().rstrip(b"\r\n"))
        at = line.end()


def _end_of_rows(content: bytes, at: int) -> int:
    """Return where the last whole row ends, before a broken one or the content's end."""
    if content.find(b'"', at) < 0:
        return max(content.rfind(b"\n", at), content.rfind(b"\r", at), at - 1) + 1
    rows = _ROWS.match(content, at)
    return rows.end() if rows else at
