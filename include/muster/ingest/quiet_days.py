"""Days on which nothing happened: no table has a row of them, and that is right."""

from __future__ import annotations

from muster.context import Context
from muster.ingest.due_days import has_rows, not_brought
from muster.ingest.sources.kinds import complete_arrivals
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
    newest, arrived = newest_facts(store, "observations"), complete_arrivals(context, asked)
    known = {day: newest[str(day)] for day in asked if str(day) in newest}
    unknown = asked - known.keys()
    again = not_brought(context, {day: arrival for day, arrival in arrived.items() if day in known})
    if again or any(fact.files for fact in known.values()):
        return False
    return unknown <= arrived.keys() and not any(has_rows(context, arrived[day]) for day in sorted(unknown))
