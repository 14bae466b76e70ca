"""A group's name and bucket as Spark SQL: the same text and number that `muster.groups` gives in Python."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from muster.groups import WILDCARD

WHITE_SPACE = "".join(character for character in map(chr, range(0x10000)) if character.isspace())
"""What Python's `str.strip` takes off, all of it in Unicode's first plane; Spark's `trim` takes off spaces only."""


def name(values: Sequence[Column]) -> Column:
    """Return the canonical text of key `values`, as `muster.groups.name` does."""
    return F.concat_ws(",", *(_field(value.cast("string")) for value in values))


def bucket(group: Column, buckets: int) -> Column:
    """Return the bucket of a group's name, as `muster.groups.bucket` does."""
    return (F.crc32(group) % buckets).cast("int")


def _field(text: Column) -> Column:
    padded = text != F.btrim(text, F.lit(WHITE_SPACE))
    quoted = text.isin(WILDCARD, "") | padded | text.rlike('[,"\\r\\n]')
    return F.when(quoted, F.concat(F.lit('"'), F.replace(text, F.lit('"'), F.lit('""')), F.lit('"'))).otherwise(text)
