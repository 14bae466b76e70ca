"""The runs of a partition, and the row of each group's latest attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.storage.attempts import PartitionRuns, latest, partition_ledger, partition_runs
from muster.storage.store import Store
from muster.storage.tables import LEDGER

KEY = "2024-02-05"
ROWS = [
    ("r1", "a", "trained", 1),
    ("r1", "b", "failed", 1),
    ("r1", "c", "failed", 1),
    ("r3", "c", "trained", 3),
    ("r2", "b", "failed", 2),
    ("r2", "c", "failed", 2),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), "made")


def write(store: Store, schema: pa.Schema = LEDGER) -> None:
    rows = [dict(zip(("run", "group", "state", "attempt"), row, strict=True)) for row in ROWS]
    named = [{name: row.get(name) for name in schema.names} | {"partition": KEY} for row in rows]
    write_deltalake(store.table("ledger"), pa.Table.from_pylist(named, schema), partition_by=["partition"])


def test_a_groups_latest_attempt_says_how_it_ended(store: Store) -> None:
    write(store)
    ledger = partition_ledger(store, KEY)
    ends = [(row["group"], row["run"], row["state"]) for row in latest(ledger, ledger).to_pylist()]
    assert ends == [("a", "r1", "trained"), ("b", "r2", "failed"), ("c", "r3", "trained")]


def test_the_runs_come_in_the_order_of_their_attempts(store: Store) -> None:
    write(store)
    assert partition_runs(store, KEY) == PartitionRuns("r1", ("r2", "r3"))
    assert partition_runs(store, "2024-02-12") == PartitionRuns(None)


def test_rows_of_another_table_are_taken_by_their_runs_attempt(store: Store) -> None:
    write(store)
    rows: list[dict[str, Any]] = [{"group": "c", "run": run} for run in ("r2", "r1", "unknown")]
    assert latest(pa.Table.from_pylist(rows), partition_ledger(store, KEY))["run"].to_pylist() == ["r2"]


def test_a_ledger_of_before_has_one_attempt(store: Store) -> None:
    write(store, LEDGER.remove(LEDGER.get_field_index("attempt")))
    assert set(partition_ledger(store, KEY)["attempt"].to_pylist()) == {1}


def test_without_a_ledger_there_is_no_run(store: Store) -> None:
    assert partition_runs(store, KEY) == PartitionRuns(None)
