"""The runs of one partition: the training of all its groups, then retries of those that failed; how each group ended.

A retry is a run of its own: its rows stand beside those of the runs before, which stay. So a group has a row for each
run that it was of, and the one of the latest attempt says how it ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.storage.tables import LEDGER

RUN = "run"
"""The option of the stages after `train` by which they are about one retry: its run."""

WHOLE = 1
"""The attempt that trained the whole partition; a later one is a retry."""


@dataclass(frozen=True)
class PartitionRuns:
    """The runs that the ledger has of a partition."""

    whole: str | None
    """That which trained all groups; None where the partition was not trained."""
    retries: tuple[str, ...] = ()
    """In their order."""

    @property
    def all(self) -> frozenset[str]:
        """Every run."""
        return frozenset(filter(None, (self.whole, *self.retries)))


def partition_ledger(store: Store, partition: str) -> pa.Table:
    """Return a partition's rows of the ledger, `attempt` filled in: an older Muster did not write it."""
    delta = store.open("ledger")
    if delta is None:
        return LEDGER.empty_table()
    rows = dataset(delta).to_table(filter=pc.field("partition") == partition)
    for field in LEDGER:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return with_attempt(rows.select(LEDGER.names).cast(LEDGER))


def with_attempt(ledger: pa.Table) -> pa.Table:
    """Return rows of the ledger with `attempt` filled in."""
    place = ledger.schema.get_field_index("attempt")
    filled = pc.fill_null(ledger["attempt"], WHOLE)
    return ledger.set_column(place, LEDGER.field("attempt"), filled)


def runs_of(ledger: pa.Table) -> PartitionRuns:
    """Return the runs of one partition's rows of the ledger, as `partition_ledger` gives them."""
    attempts = ledger.select(["run", "attempt"]).group_by(["run", "attempt"]).aggregate([]).sort_by("attempt")
    ordered = list(zip(attempts["run"].to_pylist(), attempts["attempt"].to_pylist(), strict=True))
    whole = next((run for run, attempt in ordered if attempt == WHOLE), None)
    return PartitionRuns(whole, tuple(run for run, attempt in ordered if attempt > WHOLE))


def partition_runs(store: Store, partition: str) -> PartitionRuns:
    """Return the runs that the ledger has of a partition."""
    return runs_of(partition_ledger(store, partition))


def latest(rows: pa.Table, ledger: pa.Table) -> pa.Table:
    """Return of each group the row of its latest attempt, sorted by group.

    `rows` have `group` and `run`, of one partition, each run's group once: those of the ledger itself or, say, of
    `decisions`. A run that the ledger has no row of comes before all that it has.
    """
    columns = (ledger[name].to_pylist() for name in ("run", "attempt"))
    attempts = dict(zip(*columns, strict=True))
    last: dict[str, tuple[int, int]] = {}
    named = zip(rows["group"].to_pylist(), rows["run"].to_pylist(), strict=True)
    for number, (group, run) in enumerate(named):
        last[group] = max((attempts.get(run, 0), number), last.get(group, (-1, -1)))
    return rows.take(pa.array(sorted(number for _, number in last.values()), pa.int64())).sort_by("group")
