"""The day of a moment as a column of Spark: the same that `muster.ingest.clocks` gives."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from muster.ingest.clocks import dates_of


def day_of(moment: Column, zone: str | None) -> Column:
    """Return the day of a moment in a zone, in UTC without one."""
    if zone is None:
        return F.to_date(moment)

    def dates(moments: pa.Array) -> pa.Array:
        return dates_of(moments, zone)

    return F.arrow_udf(dates, "date")(moment)
