"""A group's bucket as Spark SQL: the same number that `muster.groups` gives in Python."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def bucket(group: Column, buckets: int) -> Column:
    """Return the bucket of a group's name, as `muster.groups.bucket` does."""
    return (F.crc32(group) % buckets).cast("int")
