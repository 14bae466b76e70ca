"""Features that a test has written itself, with the facts that the features stage writes down with them."""

from __future__ import annotations

from datetime import date

from muster.context import Context
from muster.features.content import content_of, slice_facts
from muster.features.made_from import Sources, slice_days
from muster.storage.provenance import write_facts
from muster.workload.windows import DateRange


def write_down(context: Context) -> None:
    """Write down of every slice that the table has what it holds, and that it was made from what is there now."""
    table = context.store.open("features")
    if table is None or not (firsts := sorted({date.fromisoformat(item["partition"]) for item in table.partitions()})):
        return
    days = DateRange(firsts[0], slice_days(context.workload, firsts[-1]).stop)
    content = content_of(context, table.version(), days)
    write_facts(context.store, slice_facts(Sources.now(context), firsts, content))
