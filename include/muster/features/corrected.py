"""What a correction of days touches: the partition whose models learn from them, and the groups that they have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from muster.context import Context
from muster.storage.results import stage_results
from muster.workload.windows import NotAPartition, partition_windows

SHOWN = 10
"""Groups that are named."""


@dataclass(frozen=True)
class Corrected:
    """A partition whose models are of data that were corrected."""

    partition: str
    """The newest one whose features are built that learns from the days, or is judged on them."""
    count: int
    """Groups with rows on the days."""
    groups: tuple[str, ...]
    """The first of them."""


def corrected(context: Context, days: Collection[date]) -> Corrected | None:
    """Return what the correction of some days touches; None where no partition has learnt from any of them yet.

    Groups whose rows a correction has all taken away are not among its groups: `observations` has them no more.
    """
    partition = next((name for name in _built(context) if _learns_from(context, name, days)), None)
    if partition is None:
        return None
    groups = _groups(context, days)
    return Corrected(partition, len(groups), tuple(groups[:SHOWN]))


def _built(context: Context) -> list[str]:
    """Return the partitions whose features were built, the newest first."""
    return sorted({result.partition for result in stage_results(context.store, "features")}, reverse=True)


def _learns_from(context: Context, partition: str, days: Collection[date]) -> bool:
    try:
        run = partition_windows(context.workload, partition).run
    except NotAPartition:  # of another schedule
        return False
    return any(run.start <= day < run.stop for day in days)


def _groups(context: Context, days: Collection[date]) -> list[str]:
    from deltalake import QueryBuilder

    table = context.store.open("observations")
    if table is None:
        return []
    listed = ", ".join(f"DATE '{day}'" for day in sorted(days))
    query = f'SELECT DISTINCT "group" FROM this WHERE "date" IN ({listed}) ORDER BY 1'  # noqa: S608 - dates alone
    answer = QueryBuilder().register("this", table).execute(query)
    return [str(name) for name in pa.RecordBatchReader.from_stream(answer).read_all()["group"].to_pylist()]
