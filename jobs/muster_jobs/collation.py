"""Strings as Delta's other readers know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def without_collation(rows: DataFrame, *columns: str) -> DataFrame:
    """Return `rows` with `columns` as plain strings.

    Over Spark Connect, a Python function's declared `string` arrives as `string collate UTF8_BINARY`. Delta would write
    that into the table, which delta-rs then refuses to open; only a cast by the type's name takes it off.
    """
    return rows.withColumns({name: rows[name].cast("string") for name in columns})
