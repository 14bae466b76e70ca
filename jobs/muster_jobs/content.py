"""What rows hold, day by day, as Spark computes it on its way: no row is read for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def day_contents(rows: DataFrame, columns: Iterable[str]) -> dict[date, str]:
    """Return day -> the number of its rows and the sum of a 64-bit hash of each: any order adds up to the same.

    A null leaves the hash as it is: only a column's name beside its value tells whose null it was.
    """
    named = [part for name in sorted(columns) for part in (F.lit(name), F.col(name))]
    total = F.sum(F.xxhash64(*named).cast("decimal(20,0)"))
    sums = rows.groupBy("date").agg(F.count("*").alias("rows"), total.alias("total")).collect()
    return {row["date"]: f"{row['rows']}:{int(row['total']) % 2**64:016x}" for row in sums}
