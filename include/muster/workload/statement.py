"""The statement of a source of SQL: one SELECT, with ':start' and ':end' for the bounds of a day."""

from __future__ import annotations

import re

from muster.printable import cell

START, END = "start", "end"
EXAMPLE = "SELECT * FROM flights WHERE at >= :start AND at < :end"

PLACEHOLDER = re.compile(r"(?<![:\w\\]):(\w+)(?![:\w])")
"""What SQLAlchemy takes for one, in quotes too."""
_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$|--[^\n]*|/\*.*?\*/", re.DOTALL
)
"""Texts, names and comments: what stands in them is no SQL."""
_OF_OTHERS = re.compile(r"\?|%s\b|%\(\w+\)s|\$\d+|\{[^{}]*\}|\{")
_CAST = re.compile(rf":({START}|{END})::(\w+)")
_WRITES = re.compile(r"\b(insert|update|delete|merge|into)\b", re.IGNORECASE)


def statement(sql: str) -> str:
    """Check that a text is one SELECT of a day's rows.

    Raises:
        ValueError: with what it is instead, and what to write.
    """
    if problem := _problem(sql):
        raise ValueError(f"'{cell(sql, 80)}' {problem}")
    return sql


def _problem(sql: str) -> str | None:
    bare = _QUOTED.sub(" '' ", sql)
    if re.search(r"['\"`]", bare.replace("''", "")):
        return "has a quote that does not end"
    if ";" in bare:
        return "has a ';': write one SELECT alone, and no ';' behind it"
    if not re.match(r"[\s']*(select|with)\b", bare, re.IGNORECASE):
        return f"is no SELECT: write one, as {EXAMPLE}"
    if written := _WRITES.search(bare):
        return f"has '{written[0]}': the source is only read; write one SELECT, and a column of this name in quotes"
    if cast := _CAST.search(bare):
        return f"has ':{cast[1]}::{cast[2]}', where the placeholder is not seen; write CAST(:{cast[1]} AS {cast[2]})"
    return _wrong_placeholder(sql, bare)


def _wrong_placeholder(sql: str, bare: str) -> str | None:
    there = f"there are :{START} and :{END}, the bounds of the day"
    for name in PLACEHOLDER.findall(sql):
        if name not in (START, END):
            return f"has ':{name}', which stands for nothing: {there}; where a colon is meant, write '\\:{name}'"
    if other := _OF_OTHERS.search(bare):
        return f"has '{other[0]}', which stands for nothing: {there}"
    for name in (START, END):
        if name not in PLACEHOLDER.findall(bare):
            return f"has no ':{name}', so no day can be asked for: write which rows are of a day, as {EXAMPLE}"
    return None
