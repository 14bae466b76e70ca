"""Days on which nothing happened: no table has a row of them, and that is right."""

from __future__ import annotations

from muster.context import Context
from muster.ingest.landed_files import has_rows, landed_file, not_brought
from muster.ingest.landing import landed_days
from muster.storage.provenance import newest_facts
from muster.workload.windows import DateRange


def quiet(context: Context, days: DateRange) -> bool:
    """Return whether ingest has brought every one of `days`, and none has a good row.

    Ingest wrote it down: the day's file held its header only, or all its rows were refused, as `max_refused: 1` lets
    them be. That holds whether the file is still there or not, until it is delivered again. Of a day that ingest wrote
    nothing down about, as an older Muster, the file is read: only a header counts.
    """
    store, asked = context.store, set(days.days())
    if store.open("observations") is None or store.days("observations") & asked:
        return False
    newest, landed = newest_facts(store, "observations"), landed_days(store)
    known = {day: newest[str(day)] for day in asked if str(day) in newest}
    unknown = asked - known.keys()
    if any(fact.files for fact in known.values()) or not_brought(store, landed & known.keys()):
        return False
    return unknown <= landed and not any(has_rows(context.workload, landed_file(store, day)) for day in sorted(unknown))
