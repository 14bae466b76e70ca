"""A sweep of an object store: the same kinds of files go, by their times there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from muster.context import Context
from muster.housekeeping import sweep as sweeping
from muster.housekeeping.sweep import sweep
from muster.storage.files import Files
from muster.storage.store import Store
from tests.promotion.conftest import Line
from tests.storage.conftest import s3_files, s3_server

__all__ = ["s3_files", "s3_server"]


def test_what_nobody_needs_goes_from_an_object_store_too(
    tmp_path: Path, s3_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.housekeeping.needed.at_alias", lambda _: None)
    monkeypatch.setattr(Store, "open", lambda *_: None)  # delta-rs and a server of one process wait for each other
    line = Line(tmp_path)
    store = Store(s3_files.root, line.name)
    context = Context(line.workload, tmp_path, store)
    digest = "0" * 64
    gone = [f"{store.packs}/shards/{digest}.bin", f"{store.packs}/2024-02-05-01234567/{digest}.bin"]
    for path in (*gone, f"{store.packs}/champion-0123456789ab/manifest.parquet", f"{store.packs}/strange.txt"):
        store.files.put(path, b"bytes")
    assert set(sweep(context).report()["removed"].values()) == {0}
    monkeypatch.setattr(sweeping, "_older", lambda than: lambda file: than >= timedelta(0))  # all is old
    would, did = sweep(context, dry_run=True).report(), sweep(context).report()
    assert would["removed"] == did["removed"]
    assert {kind: count for kind, count in did["removed"].items() if count} == {
        "manifests": 1,
        "champion_shards": 1,
        "candidate_shards": 1,
    }
    assert did["unknown_files"] == f"{store.packs}/strange.txt"
    left = {file.path for file in store.files.listed(store.packs)}
    assert left == {
        f"{store.packs}/champion-0123456789ab/removed.json",
        f"{store.packs}/2024-02-05-01234567/removed.json",
        f"{store.packs}/strange.txt",
    }
