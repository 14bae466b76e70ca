"""The runs whose candidates stay: those of the last partitions, and any that may still be judged or promoted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.journal import Journal
from muster.context import Context
from muster.housekeeping.inventory import RUN, Inventory
from muster.storage.attempts import latest, partition_ledger, runs_of
from muster.storage.delta import dataset
from muster.storage.store import Store, TableVersion

COLUMNS = ("partition", "run", "shard", "features_version", "features_table")


@dataclass(frozen=True)
class KeptRuns:
    """What the runs that stay need."""

    partitions: frozenset[str]
    shards: frozenset[str]
    """Paths below the store's root."""
    features: frozenset[TableVersion]
    """The versions of `features` that their models were trained on, and are judged on."""


def kept_runs(context: Context, inventory: Inventory, journal: Journal, keep: int) -> KeptRuns:
    """Find the runs of the last `keep` partitions, and older ones that were not judged, or not promoted yet."""
    delta = context.store.open("models")
    if delta is None:
        return KeptRuns(frozenset(), frozenset(), frozenset())
    trained = sorted({values["partition"] for values in delta.partitions()})
    older = set(trained[:-keep]) & _with_files(context.store, inventory)
    partitions = {*trained[-keep:], *(partition for partition in older if _waits(context, journal, partition))}
    rows = _rows(context.store, "models", partitions, COLUMNS)
    trained_on = rows.select(COLUMNS[3:]).group_by(list(COLUMNS[3:])).aggregate([]).to_pylist()
    features = frozenset(TableVersion(row["features_version"], row["features_table"]) for row in trained_on)
    return KeptRuns(frozenset(partitions), frozenset(rows["shard"].unique().to_pylist()), features)


def _with_files(store: Store, inventory: Inventory) -> set[str]:
    """Return the partitions whose candidates have any file: no other can be removed."""
    folders = {file.path.removeprefix(f"{store.packs}/").partition("/")[0] for file in inventory.of("candidate_shards")}
    return {folder[:10] for folder in folders if RUN.fullmatch(folder)}


def _waits(context: Context, journal: Journal, partition: str) -> bool:
    """Tell whether a partition's run was not judged, or has a winner that may still be promoted."""
    trained = set(_rows(context.store, "models", [partition], ["run"])["run"].to_pylist())
    ledger = partition_ledger(context.store, partition)
    trained -= runs_of(ledger).all - set(latest(ledger, ledger)["run"].to_pylist())  # all of it was retried since
    columns = ("run", "verdict", "group")
    decisions = _rows(context.store, "decisions", [partition], columns).select(columns)
    if trained - set(decisions["run"].to_pylist()):
        return True
    if context.workload.gate.mode != "enabled":
        return False
    won = decisions.filter(pc.equal(decisions["verdict"], "promote")).select(["group", "run"]).to_pylist()
    units = {(None if context.workload.registry == "pack" else row["group"], row["run"]) for row in won}
    return any(_may_move(journal, group, partition, run) for group, run in units)


def _may_move(journal: Journal, group: str | None, partition: str, run: str) -> bool:
    """Tell whether a run's winner is neither promoted nor behind a champion of a later partition."""
    moves = journal.of_group(group)
    if not moves or moves[-1]["partition"] > partition:
        return not moves
    return not any((move["run"], move["partition"]) == (run, partition) for move in moves)


def _rows(store: Store, table: str, partitions: Iterable[str], columns: Iterable[str]) -> pa.Table:
    """Return some columns of partitions' rows; those that an older Muster did not write yet are null."""
    delta, names = store.open(table), list(columns)
    if delta is None:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    rows = dataset(delta)
    there = [name for name in names if name in rows.schema.names]
    read = rows.to_table(columns=there, filter=pc.field("partition").isin(sorted(partitions)))
    for name in names:
        if name not in there:
            read = read.append_column(name, pa.nulls(read.num_rows, pa.string()))
    return read
