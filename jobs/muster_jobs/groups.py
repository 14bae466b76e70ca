"""A group's name and bucket as columns of Spark: the same text and number that `muster.groups` gives in Python."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from muster.ingest.names import names


def name(values: Sequence[Column]) -> Column:
    """Return the canonical text of key `values`, by the very code that ingest names rows with."""

    def named(*columns: pa.Array) -> pa.Array:
        return names(columns)

    return F.arrow_udf(named, "string")(*values)


def bucket(group: Column, buckets: int) -> Column:
    """Return the bucket of a group's name, as `muster.groups.bucket` does."""
    return (F.crc32(group) % buckets).cast("int")
