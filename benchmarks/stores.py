"""Stores: what a promotion of a few per cent writes, and what packs and tables cost on a disk and on S3."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar
from unittest import mock

import numpy as np
import pyarrow as pa
import requests

from benchmarks.figures import Figure
from benchmarks.pack_data import BUCKETS, FEATURES, PARTITION, features_of, fitted, workload_of
from muster import groups
from muster.models.build import BuiltPack, build_pack, incumbents
from muster.models.layers import PackAt
from muster.models.manifest_reader import MANIFEST_FILE, read_manifest
from muster.models.reader import Pack
from muster.models.shards import ShardWriter, encode
from muster.settings import Settings
from muster.storage.delta import dataset, replace_rows
from muster.storage.store import Store
from muster.storage.tables import MODELS
from muster.workload.spec import Workload
from muster_local.ports import free_ports

CHANGED = 0.03
WEEKS = 8
BUCKET = "bench"
Result = TypeVar("Result")


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Promote weeks on both stores, in turn, and read what they hold."""
    size = 400 if quick else 50_000
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder, _object_store():
        stores = {"disk": f"{folder}/store", "S3": f"s3://{BUCKET}/store"}
        costs = {kind: _measure(root, size, 1 if quick else WEEKS) for kind, root in stores.items()}
    disk, bucket = costs["disk"], costs["S3"]
    assert disk.digests == bucket.digests, "the same packs on both"
    beside = "S3 is a server of moto's on this machine"
    written = statistics.median(disk.written)
    detail = f"{size:,} groups, {CHANGED:.0%} changed, {len(disk.written)} weeks in a row: median, and at most"
    return [
        Figure(
            "bytes that a promotion writes, of a whole pack's, with what MLflow gets",
            written,
            "share",
            None if quick else 0.05,
            detail=f"{detail} {max(disk.written):.3f}; a whole pack has {disk.whole / 1e6:.1f} MB",
        ),
        *(
            Figure(
                f"{what}: S3 against a disk",
                getattr(bucket, name) / getattr(disk, name),
                "x",
                detail=f"{getattr(disk, name):.2f} s and {getattr(bucket, name):.2f} s, {beside}",
            )
            for name, what in NAMES.items()
        ),
    ]


NAMES = {
    "first": "writing a whole pack",
    "next": f"a promotion of {CHANGED:.0%}",
    "opened": "reading a manifest",
    "loaded": "loading 1,000 models, 32 at a time",
    "rows": "opening features and reading a week of them",
}


class _Costs(NamedTuple):
    whole: int
    """Bytes of a whole pack."""
    written: Sequence[float]
    """What each promotion after the first has written, as a share of that."""
    digests: Sequence[str]
    first: float
    next: float
    opened: float
    loaded: float
    rows: float


def _measure(root: str, size: int, weeks: int) -> _Costs:
    declared = workload_of("bench_stores")
    workload = declared.model_copy(update={"pack": declared.pack.model_copy(update={"mlflow_bytes": 0})})
    store, random = Store(root, workload.name), np.random.default_rng(0)
    names = [f"group-{number:05}" for number in range(size)]
    first, pack = _promoted(workload, store, random, names, 0, None)
    whole = before = _bytes(store)
    digests, seconds, written = [pack.sha256], [], []
    for week in range(1, weeks + 1):
        changed = sorted(random.choice(names, int(CHANGED * size), replace=False))
        took, pack = _promoted(workload, store, random, changed, week, pack)
        manifest = store.files.about(f"{pack.folder}/{MANIFEST_FILE}")
        assert manifest is not None, "it was just written"
        written.append((_bytes(store) - before + manifest.size) / whole)  # MLflow gets the manifest once more
        before = _bytes(store)
        digests.append(pack.sha256)
        seconds.append(took)
    opened, manifest_rows = _timed(lambda: read_manifest(store.files, pack.folder, pack.sha256))
    some = sorted(random.choice(names, min(1000, size), replace=False))
    features = random.normal(size=(len(some), len(FEATURES)))
    loaded, _ = _timed(lambda: Pack(store.files, manifest_rows).answer(some, features, str))
    return _Costs(
        whole, written, digests, first, statistics.median(seconds), opened, loaded, _read_rows(workload, store, names)
    )


def _promoted(
    workload: Workload, store: Store, random: np.random.Generator, names: Sequence[str], week: int, on: BuiltPack | None
) -> tuple[float, BuiltPack]:
    """Write the next pack, in seconds; a run has trained and stored its models before the clock begins."""
    at = date.fromisoformat(PARTITION) + timedelta(days=7 * week)
    models = _models(store, random, names, f"{at}-0123abcd")
    winners = models.select(["group", "algorithm"]).append_column("score", pa.array(random.random(models.num_rows)))

    def build() -> BuiltPack:
        base = None if on is None else PackAt(on.folder, on.sha256)
        champion = None if on is None else incumbents(store, on.folder, on.sha256)
        return build_pack(workload, store, at, models, winners, champion, base)

    return _timed(build)


def _models(store: Store, random: np.random.Generator, names: Sequence[str], run: str) -> pa.Table:
    """Write a run's shards; each model is the same estimator with other bytes behind it, in place of coefficients."""
    data, rows = encode(fitted()), []
    fixed = {"partition": run[:10], "run": run, "parent": False, "algorithm": "logistic", "features_version": 1}
    fixed |= {"train_from": date(2024, 1, 1), "train_to": date(2024, 1, 29), "probabilities": True}
    by_bucket: dict[int, list[str]] = {}
    for name in names:
        by_bucket.setdefault(groups.bucket(name, BUCKETS), []).append(name)
    for bucket, own in sorted(by_bucket.items()):
        with ShardWriter(store.files, f"{store.packs}/{run}") as shard:
            placed = [shard.add(data + random.bytes(16)) for _ in own]
        counts = random.integers(30, 900, size=(len(own), 2))
        rows += [
            {
                **fixed,
                **{"group": name, "bucket": bucket, "shard": shard.path},
                **{"rows": int(most), "positives": int(least), "prior": float(least / most), **place._asdict()},
            }
            for name, place, (least, most) in zip(own, placed, np.sort(counts, axis=1), strict=True)
        ]
    return pa.Table.from_pylist(rows, MODELS)


def _read_rows(workload: Workload, store: Store, names: Sequence[str]) -> float:
    """Return the seconds of opening `features` and reading a slice of it."""
    rows = features_of(workload, names, 20 * BUCKETS * len(FEATURES))
    replace_rows(store, "features", rows, f"partition = '{PARTITION}'")

    def read() -> int:
        table = store.open("features")
        return 0 if table is None else int(dataset(table).to_table().num_rows)

    read()
    return statistics.median(_timed(read)[0] for _ in range(3))


def _bytes(store: Store) -> int:
    """Return the bytes of champions: what runs have trained is not of the promotion."""
    packs = store.files.listed(store.packs)
    return sum(
        file.size for file in packs if file.path.startswith((f"{store.packs}/champion", f"{store.packs}/shards"))
    )


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


@contextmanager
def _object_store() -> Iterator[None]:
    """Run a server that speaks S3's protocol, and name it in this process's environment."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    named = {"AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    named |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as server, mock.patch.dict(os.environ, named):  # type: ignore[call-overload]
        try:
            for _ in range(600):
                try:
                    requests.put(f"{address}/{BUCKET}", timeout=30).raise_for_status()
                    break
                except requests.ConnectionError:
                    time.sleep(0.1)
            yield
        finally:
            server.terminate()
