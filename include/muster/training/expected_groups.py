"""The groups of a run and their rows, read from the features table by another way than training reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.workload.windows import PartitionWindows


@dataclass(frozen=True)
class ExpectedGroups:
    """The groups that a run must have."""

    rows: Mapping[str, int] = field(default_factory=dict)
    """Group -> its rows of the run's days."""
    training_rows: Mapping[str, int] = field(default_factory=dict)
    """Group -> its rows of the days that it is trained on, labelled or not; only of groups with one."""

    def of(self, groups: Collection[str] | None) -> ExpectedGroups:
        """Return those of some groups; all of None."""
        if groups is None:
            return self
        counts = (self.rows, self.training_rows)
        return ExpectedGroups(*({name: rows for name, rows in one.items() if name in groups} for one in counts))


def expected_groups(store: Store, version: int, windows: PartitionWindows) -> ExpectedGroups:
    """Return the groups with a row of the run's days at a Delta version of `features`, and how many they have.

    Delta's own scan of the whole table, two columns, batch by batch: it shares neither the list of files by bucket nor
    the reading of a bucket with training, so that a file left out there is missed here.
    """
    table = store.open("features", version)
    if table is None:
        return ExpectedGroups()
    days, trained = windows.run, windows.train
    within = (ds.field("date") >= days.start) & (ds.field("date") < days.stop)
    rows, training_rows = Counter[str](), Counter[str]()
    for batch in dataset(table, statistics=True).to_batches(columns=["group", "date"], filter=within):
        _count(rows, batch.column("group"))
        _count(training_rows, batch.filter(pc.less(batch.column("date"), trained.stop)).column("group"))
    return ExpectedGroups(rows, training_rows)


def _count(rows: Counter[str], names: pa.Array) -> None:
    values, counts = names.value_counts().flatten()
    for name, count in zip(values.to_pylist(), counts.to_pylist(), strict=True):
        rows[name] += count
