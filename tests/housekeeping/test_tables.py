"""Old versions of tables go, as Delta has it: not what a kept run was trained on, nor the log that it is read by."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake

from muster.housekeeping.sweep import sweep
from muster.storage.delta import dataset
from muster.storage.store import Store, TableVersion, table_id
from tests.housekeeping.conftest import aged
from tests.promotion.conftest import A, Line

PLAIN = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def rewritten(line: Line, table: str, times: int) -> None:
    """Write a table so often anew, each time over the one before."""
    path = line.store.table(table)
    for number in range(times):
        rows = pa.table({"a": [float(number)], "partition": [line.first]})
        write_deltalake(path, rows, mode="overwrite", partition_by=["partition"], post_commithook_properties=PLAIN)


def replaced_long_ago(line: Line, days: float = 10) -> None:
    """Make all files of tables older, and what their logs say of when rows were replaced."""
    for log in Path(line.root, "tables").rglob("_delta_log/*.json"):
        entries = [json.loads(text) for text in log.read_text().splitlines()]
        for entry in entries:
            if "remove" in entry:
                entry["remove"]["deletionTimestamp"] -= int(days * 86_400_000)
        log.write_text("\n".join(map(json.dumps, entries)))
    aged(line.root, days)


def files_of(store: Store, table: str) -> set[str]:
    return {path.name for path in Path(store.table(table)).glob("*/*.parquet")}


@pytest.fixture(autouse=True)
def _no_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow knows of none."""
    monkeypatch.setattr("muster.housekeeping.needed.at_alias", lambda _: None)


def test_replaced_rows_go_after_a_week_and_present_ones_stay(line: Line) -> None:
    rewritten(line, "observations", 4)
    assert sweep(line.context).report()["removed"]["table_files"] == 0
    replaced_long_ago(line)
    size = sum(path.stat().st_size for path in Path(line.store.table("observations")).glob("*/*.parquet"))
    would, did = sweep(line.context, dry_run=True).report(), sweep(line.context).report()
    assert (would["removed"], would["removed_bytes"]) == (did["removed"], did["removed_bytes"])
    assert did["removed"]["table_files"] == 3
    [left] = Path(line.store.table("observations")).glob("*/*.parquet")
    assert did["removed_bytes"]["table_files"] == size - left.stat().st_size
    table = line.store.open("observations")
    assert table is not None
    assert dataset(table).to_table()["a"].to_pylist() == [3.0]
    version = table.version()
    assert sweep(line.context).report()["removed"]["table_files"] == 0
    assert DeltaTable(line.store.table("observations")).version() == version  # nothing to do, no commit


def test_what_a_killed_writer_left_goes_and_what_one_is_writing_stays(line: Line) -> None:
    rewritten(line, "observations", 1)
    aged(line.root)
    folder = next(Path(line.store.table("observations")).glob("partition=*"))
    for name, days in (("left.parquet", 8), ("written-now.parquet", 6)):
        (folder / name).write_bytes(b"rows")
        os.utime(folder / name, (time.time() - days * 86400,) * 2)
    assert sweep(line.context).report()["removed"]["table_files"] == 1
    assert not (folder / "left.parquet").exists()
    assert (folder / "written-now.parquet").exists()


def test_the_features_that_a_kept_run_learnt_from_stay(line: Line) -> None:
    line.declared |= {"housekeeping": {"keep": 1}}
    rewritten(line, "features", 6)
    features = line.store.open("features")
    assert features is not None
    for partition, version in ((line.first, 1), (line.second, 2)):
        line.known = {A: {"features_version": version, "features_table": table_id(features)}}
        line.train(partition, {A: 1.0}, logged=False)
        line.decide(partition, f"{partition}-x", {A: "reject"})
    line.decide(line.first, next(iter(runs(line, line.first))), {A: "reject"})
    kept = names_at(line.store, 2)
    replaced_long_ago(line)
    assert sweep(line.context).report()["removed"]["table_files"] == 4 + 1  # one of `decisions`
    assert files_of(line.store, "features") == kept | names_at(line.store, 5)
    old = line.store.open("features", TableVersion(2, table_id(features)))
    assert old is not None
    assert dataset(old).to_table()["a"].to_pylist() == [2.0]


def runs(line: Line, partition: str) -> set[str]:
    models = line.store.open("models")
    assert models is not None
    rows = dataset(models).to_table()
    pairs = zip(rows["partition"].to_pylist(), rows["run"].to_pylist(), strict=True)
    return {run for of, run in pairs if of == partition}


def names_at(store: Store, version: int) -> set[str]:
    table = store.open("features", version)
    assert table is not None
    return {Path(uri).name for uri in table.file_uris()}


def test_versions_of_a_table_that_another_has_replaced_need_nothing(line: Line) -> None:
    line.known = {A: {"features_version": 0, "features_table": "another"}}
    rewritten(line, "features", 3)
    line.train(line.first, {A: 1.0}, logged=False)
    replaced_long_ago(line)
    assert sweep(line.context).report()["removed"]["table_files"] == 2


def test_a_log_gets_a_checkpoint_and_then_loses_what_is_old(line: Line) -> None:
    rewritten(line, "quarantine", 22)
    log = Path(line.store.table("quarantine"), "_delta_log")
    assert sweep(line.context, dry_run=True).report()["checkpoints"] == 1
    assert len(list(log.glob("*.json"))) == 22
    for file in log.iterdir():
        os.utime(file, (time.time() - 40 * 86400,) * 2)
    would, did = sweep(line.context, dry_run=True).report(), sweep(line.context).report()
    assert (would["removed"]["table_logs"], would["checkpoints"]) == (21, 1)
    assert (did["removed"], did["checkpoints"]) == (would["removed"], 1)
    table = line.store.open("quarantine")
    assert table is not None
    assert dataset(table).to_table()["a"].to_pylist() == [21.0]
    assert sweep(line.context).report()["checkpoints"] == 0


def test_the_log_by_which_kept_features_are_read_stays(line: Line) -> None:
    rewritten(line, "features", 25)
    features = line.store.open("features")
    assert features is not None
    line.known = {A: {"features_version": 3, "features_table": table_id(features)}}
    line.train(line.first, {A: 1.0}, logged=False)
    aged(line.root, 40)
    report = sweep(line.context).report()
    assert (report["removed"]["table_logs"], report["checkpoints"]) == (0, 1)
    assert line.store.open("features", TableVersion(3, table_id(features))) is not None


def test_a_table_that_declares_a_longer_time_keeps_its_rows_for_that(line: Line) -> None:
    rewritten(line, "observations", 3)
    table = DeltaTable(line.store.table("observations"))
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 30 days"})
    replaced_long_ago(line)
    assert sweep(line.context).report()["removed"]["table_files"] == 0
    replaced_long_ago(line, 31)
    assert sweep(line.context).report()["removed"]["table_files"] == 2
