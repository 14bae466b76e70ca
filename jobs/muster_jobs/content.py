"""What rows hold, day by day, as Spark computes it on its way: no row is read for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from muster.storage.provenance import content_digest


def day_contents(rows: DataFrame, columns: Iterable[str]) -> dict[date, str]:
    """Return day -> the `content_digest` of its rows.

    A null leaves the hash as it is: only a column's name beside its value tells whose null it was.
    """
    named = [part for name in sorted(columns) for part in (F.lit(name), F.col(name))]
    total = F.sum(F.xxhash64(*named).cast("decimal(20,0)"))
    sums = rows.groupBy("date").agg(F.count("*").alias("rows"), total.alias("total")).collect()
    return {row["date"]: content_digest(row["rows"], int(row["total"])) for row in sums}
