"""What somebody may change in a pack, its registry and its journal, done for real; and all that read a champion."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard
from deltalake import write_deltalake

from muster.champions import opened
from muster.champions.versions import MANIFEST_DIGEST, RegisteredVersion
from muster.evaluation.bucket import judge_bucket
from muster.evaluation.decisions import reconcile
from muster.mlflow.client import connect
from muster.models.manifest_reader import MANIFEST_FILE, PACKED, packed
from muster.models.shards import encode
from muster.scoring import score
from muster.storage.tables import ALIAS_JOURNAL, LEDGER, MODELS, features_schema

GROUP = "B,X"
"""Its model is tampered with; in the second week it is judged, and kept."""


class Payload:
    """Once unpickled without care, it has made a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return open, (str(self.file), "w")  # io.open


def payload(file: Path) -> bytes:
    """Return a model's stored bytes that make `file` when they are unpickled."""
    return zstandard.compress(pickle.dumps(Payload(file)))


def flip(folder: Path) -> None:
    """Change one byte of the group's model."""
    shard, start, stop = _place(folder)
    data = bytearray(shard.read_bytes())
    data[(start + stop) // 2] ^= 1
    shard.write_bytes(data)


def replace_shard(folder: Path, data: bytes) -> None:
    """Put other stored bytes where the group's model stands; the manifest stays."""
    shard, start, _ = _place(folder)
    before = shard.read_bytes()
    shard.write_bytes(before[:start] + data + before[start + len(data) :])


def edit_manifest(folder: Path, **changes: Any) -> str:
    """Change the group's row of the manifest; return the manifest's new sha256."""
    file = folder / MANIFEST_FILE
    table = pq.read_table(file)
    rows = [row | changes if row["group"] == GROUP else row for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def forge(folder: Path, data: bytes) -> str:
    """Put other stored bytes under the group's name, manifest and shard alike; return the manifest's new sha256."""
    shard, start, stop = _place(folder)
    before = shard.read_bytes()
    if shard.parent == folder:  # one model after another, in the manifest's order
        offset = start
        shard.write_bytes(before[:start] + data + before[stop:])
    else:
        offset = len(before)
        shard.write_bytes(before + data)
    return edit_manifest(folder, offset=offset, length=len(data), sha256=hashlib.sha256(data).hexdigest())


def _place(folder: Path) -> tuple[Path, int, int]:
    """Return where the group's model is: the file, and from where to where, of a pack in a store or in MLflow."""
    manifest, root = pq.read_table(folder / MANIFEST_FILE), folder.parents[2]
    if (folder / PACKED).exists():
        manifest, root = packed(manifest), folder
    [row] = [row for row in manifest.to_pylist() if row["group"] == GROUP]
    return root / row["shard"], row["offset"], row["offset"] + row["length"]


def tag(line: Any, version: str, digest: str) -> None:
    """Write another digest into the registry."""
    connect().set_model_version_tag(line.name, version, MANIFEST_DIGEST, digest)


def write_journal(line: Any, digest: str) -> None:
    """Write another digest into every row of the journal."""
    rows = line.store.open("alias_journal").to_pyarrow_table()
    rows = rows.set_column(
        rows.schema.get_field_index("manifest_sha256"), "manifest_sha256", pa.array([digest] * rows.num_rows)
    )
    write_deltalake(line.store.table("alias_journal"), rows, mode="overwrite")


def insert_move(line: Any, changes: dict[str, Any]) -> None:
    """Write a move into the journal that was never made, just before the last one, as who can write the store can."""
    *before, last = (dict.fromkeys(ALIAS_JOURNAL.names) | row for row in line.moves)
    between = last | {"at": last["at"] - timedelta(microseconds=1)} | changes
    rows = [*before, between, last | {"from_version": changes["to_version"]}]
    table = pa.Table.from_pylist(rows, ALIAS_JOURNAL)
    write_deltalake(line.store.table("alias_journal"), table, mode="overwrite")


def write_models(line: Any, changes: dict[str, Any]) -> None:
    """Change every row of `models`, as who can write the store can."""
    rows = line.store.open("models").to_pyarrow_table().select(MODELS.names).to_pylist()
    table = pa.Table.from_pylist([row | changes for row in rows], MODELS)
    write_deltalake(line.store.table("models"), table, mode="overwrite", partition_by=["partition"])


def write_bundle(local: Path, digest: str) -> None:
    """Write another digest into a downloaded MLflow model's own description."""
    file = local / "MLmodel"
    declared = yaml.safe_load(file.read_text())
    declared["flavors"]["python_function"]["config"]["manifest_sha256"] = digest
    file.write_text(yaml.safe_dump(declared))


def promoted(line: Any) -> RegisteredVersion:
    """Bring a first champion about, and all that judging and scoring the second week need."""
    from tests.registry.remembered import remembered

    remembered(line, _promoted)
    champion: RegisteredVersion | None = line.champion()
    assert champion is not None
    return champion


def _promoted(line: Any) -> None:
    run = line.train(line.first, {"A,X": 1.0, GROUP: -2.0})
    line.decide(line.first, run, {"A,X": "promote", GROUP: "promote"})
    line.promote(line.first)
    run = line.train(line.second, {"A,X": 3.0, GROUP: 3.0})
    line.decide(line.second, run, {"A,X": "promote", GROUP: "reject"}, "1")
    line.features(line.second, [{"group": GROUP, "a": 1.0, "b": 0.0, "record": 0.5}])


def readers(line: Any) -> dict[str, Callable[[], Any]]:
    """Return the ways in which Muster itself uses a champion: the score job's, the gate's, the next pack's."""
    workload, context = line.workload, line.at(line.second)

    def scored() -> None:
        opened._opened.cache_clear()
        scoring = score.prepare(context)
        for bucket in scoring.features.files:
            score.score_bucket(scoring, bucket)

    def judged() -> None:
        champion = opened.opponents(context)
        assert champion is not None
        ledger = pa.Table.from_pylist([_entered(line)], LEDGER)
        models = pa.Table.from_pylist([], MODELS)
        rows = _held(line)
        names = ledger["group"].combine_chunks()
        with champion.open(names.to_pylist()) as pack:
            decided = judge_bucket(workload, rows, ledger, models, line.store.files, pack.incumbents(names))
            reconcile(workload, decided, ledger)

    return {"score": scored, "evaluate": judged, "promote": lambda: line.promote(line.second)}


def _entered(line: Any) -> dict[str, Any]:
    return {"partition": line.second, "run": "r", "group": GROUP, "bucket": 0, "parent": False, "state": "trained"}


def _held(line: Any) -> pa.Table:
    values = np.linspace(-1, 1, 40)
    rows = [
        {"group": GROUP, "label": float(value > 0), "a": value, "b": 0.0, "record": 0.5, "partition": line.second}
        for value in values
    ]
    return pa.Table.from_pylist(rows, features_schema(line.workload))


def gateway(line: Any, to: Path, tamper: Callable[[Path], str | None]) -> Callable[[], Any]:
    """Return a use of the champion's MLflow model after its artifacts were tampered with."""
    local = Path(mlflow.artifacts.download_artifacts(f"models:/{line.name}@Champion", dst_path=str(to)))
    (manifest,) = local.rglob("manifest.parquet")
    digest = tamper(manifest.parent)
    if digest is not None:
        write_bundle(local, digest)
    asked = pd.DataFrame({"carrier": ["B"], "origin": ["X"], "a": [1.0], "b": [0.0], "record": [0.5]})
    return lambda: mlflow.pyfunc.load_model(str(local)).predict(asked)


def other_model(line: Any) -> bytes:
    """Return the stored bytes of a sound model that was never judged."""
    return encode(line.model(9.0))
