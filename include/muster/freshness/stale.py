"""Groups that have had no row for too long: they are not trained, and their champions go on answering."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pyarrow as pa

from muster.context import PartitionContext
from muster.workload.windows import DateRange


def fresh_from(came: Iterable[date], run: DateRange, stale_after: int) -> date | None:
    """Return the day from which on a group must have a row not to be stale, of the days that have come, in any order.

    None where fewer than `stale_after` of the days that training may look at have come: then no group is.
    """
    of_run = sorted({day for day in came if run.start <= day < run.stop})
    return of_run[-stale_after] if len(of_run) >= stale_after else None


def stale_groups(context: PartitionContext) -> dict[str, date]:
    """Return each group that is stale -> the last day of which it has an observation, before the partition.

    Stale is a group without a row on the last `freshness.stale_after` of the days that training may look at and that
    have come: of which `observations` has a row of any group. A day that never came, or on which nothing happened,
    tells nothing of one group beside the others. The slice itself is not asked: nobody learns from it yet. A group
    without any row since training begins is not of the run. The days are compared within delta-rs, which gives back a
    row a stale group; none without `stale_after`.
    """
    from deltalake import QueryBuilder

    declared, run = context.workload.freshness, context.windows.run
    table = context.store.open("observations")
    if declared is None or declared.stale_after is None or table is None:
        return {}
    if (since := fresh_from(context.store.days("observations"), run, declared.stale_after)) is None:
        return {}
    query = f"""SELECT "group", max("date") AS newest FROM this
        WHERE "date" >= DATE '{run.start}' AND "date" < DATE '{run.stop}'
        GROUP BY 1 HAVING max("date") < DATE '{since}'"""  # noqa: S608 - dates alone
    answer = QueryBuilder().register("this", table).execute(query)
    rows = pa.RecordBatchReader.from_stream(answer).read_all()
    return dict(zip(rows["group"].to_pylist(), rows["newest"].to_pylist(), strict=True))
