"""Groups that have had no row for too long: they are not trained, and their champions go on answering."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa

from muster.context import PartitionContext


def stale_groups(context: PartitionContext) -> dict[str, date]:
    """Return each group that is stale -> the last day of which it has an observation, up to the end of the slice.

    Stale is a group whose newest observation is older than `freshness.stale_after` days before the slice's end. One
    without any since training begins is not of the run. The days are compared within delta-rs, which gives back a row
    a stale group; none without `stale_after`.
    """
    from deltalake import QueryBuilder

    declared, windows = context.workload.freshness, context.windows
    table = context.store.open("observations")
    if declared is None or declared.stale_after is None or table is None:
        return {}
    oldest = windows.score.stop - timedelta(days=declared.stale_after)
    query = f"""SELECT "group", max("date") AS newest FROM this
        WHERE "date" >= DATE '{windows.run.start}' AND "date" < DATE '{windows.score.stop}'
        GROUP BY 1 HAVING max("date") < DATE '{oldest}'"""  # noqa: S608 - dates alone
    answer = QueryBuilder().register("this", table).execute(query)
    rows = pa.RecordBatchReader.from_stream(answer).read_all()
    return dict(zip(rows["group"].to_pylist(), rows["newest"].to_pylist(), strict=True))
