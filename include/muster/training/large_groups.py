"""Groups with more rows than a task should hold: sampled, the same rows each time, before they are in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.workload.spec import Workload

_HASHES = 2.0**64


class TooManyRows(ValueError):
    """Raised for a group that is not to be trained on as many rows as it has."""

    def __init__(self, rows: int, most: int) -> None:
        super().__init__(f"has {rows:,} rows to train on, and large_groups.rows is {most:,}")


@dataclass(frozen=True)
class LargeGroups:
    """The groups of a run that are large. Plain data: it travels to the executors."""

    rows: Mapping[str, int] = field(default_factory=dict)
    """Group -> its rows of the training days; only of large ones."""
    most: int = 0
    sampled: bool = True
    """Whether they are trained on a sample; else they are recorded as failed."""
    seed: int = 0

    def check(self, group: str) -> None:
        """Raise `TooManyRows` for a group that is large and not to be sampled."""
        if group in self.rows and not self.sampled:
            raise TooManyRows(self.rows[group], self.most)

    def note(self, group: str) -> str | None:
        """Return what the ledger says of a group that was trained on a sample: the same text for each."""
        return f"sampled: more than {self.most:,} rows" if group in self.rows else None

    def keep(self) -> Callable[[pa.RecordBatch], pa.RecordBatch] | None:
        """Return what takes the rows out of a batch that are not sampled; None where no group is large.

        A row is kept by a hash of its group, day and id, so whatever the files, their order and the machine, always
        the same rows are: about `most` of each large group. Takes `group`, `date` and `row_id`.
        """
        if not self.rows:
            return None
        names = pa.array(sorted(self.rows))
        shares = np.array([self.most / self.rows[name] for name in names.to_pylist()])
        key = f"{groups.seed('large groups', self.seed):016x}"[:16]

        def sampled(batch: pa.RecordBatch) -> pa.RecordBatch:
            which = pc.index_in(batch.column("group"), names)
            large = np.flatnonzero(pc.is_valid(which))
            if not len(large):
                return batch
            own = batch.take(large)
            texts = pc.binary_join_element_wise(
                own.column("group"), own.column("date").cast(pa.string()), own.column("row_id"), "\n"
            )
            hashes = pd.util.hash_array(texts.to_numpy(zero_copy_only=False), hash_key=key, categorize=False)
            kept = np.ones(batch.num_rows, dtype=bool)
            kept[large] = hashes / _HASHES < shares[which.take(large).to_numpy()]
            return batch.filter(pa.array(kept))

        return sampled


NONE = LargeGroups()
"""No group is large."""


def large_groups(workload: Workload, training_rows: Mapping[str, int]) -> LargeGroups:
    """Return the large groups of a run, by how many rows each has in its training days."""
    declared = workload.large_groups
    if declared is None:
        return NONE
    rows = {group: count for group, count in training_rows.items() if count > declared.rows}
    return LargeGroups(rows, declared.rows, declared.then == "sample", workload.seed)
