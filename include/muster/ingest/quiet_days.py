"""Days on which nothing happened: no table has a row of them, and that is right."""

from __future__ import annotations

from muster.context import Context
from muster.ingest.landed_files import has_rows, landed_file
from muster.ingest.landing import landed_days
from muster.workload.windows import DateRange


def quiet(context: Context, days: DateRange) -> bool:
    """Return whether ingest has brought every one of `days`, and none has a good row.

    Such a day's file holds its header only. Where `max_refused` lets a day pass of which every row is refused, its rows
    are in `quarantine`.
    """
    store, all_days = context.store, set(days.days())
    if store.open("observations") is None or store.days("observations") & all_days:
        return False
    refused = store.days("quarantine") if context.workload.max_refused == 1 else set()
    return all_days <= landed_days(store) and not any(
        has_rows(context.workload, landed_file(store, day)) for day in sorted(all_days - refused)
    )
