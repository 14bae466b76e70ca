"""The groups of a run, read from the features table by another way than training reads them."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.dataset as ds

from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.workload.windows import DateRange


def expected_groups(store: Store, version: int, days: DateRange) -> set[str]:
    """Return the names of the groups with a row of `days` at a Delta version of `features`.

    Delta's own scan of the whole table, one column, batch by batch: it shares neither the list of files by bucket nor
    the reading of a bucket with training, so that a file left out there is missed here.
    """
    table = store.open("features", version)
    if table is None:
        return set()
    within = (ds.field("date") >= days.start) & (ds.field("date") < days.stop)
    names: set[str] = set()
    for batch in dataset(table, statistics=True).to_batches(columns=["group"], filter=within):
        names.update(pc.unique(batch.column("group")).to_pylist())
    return names
