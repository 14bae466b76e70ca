"""Training: wall time against the bare fit floor, and per-group applyInPandas beside it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import write_deltalake
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks.figures import Figure, NeedsStack
from muster import groups
from muster.context import PartitionContext
from muster.features.content import slice_facts
from muster.features.files import FeatureFiles, list_features
from muster.features.made_from import Sources
from muster.settings import Settings
from muster.storage.provenance import write_facts
from muster.storage.store import Store
from muster.storage.tables import TABLES, features_schema
from muster.training.bins import balance
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows, slice_of
from muster_jobs import train
from muster_jobs.job import Job
from muster_local.ports import accepts_connections

GROUPS, ROWS, FEATURES, SLICES = 10_000, 200, 8, 8
QUICK_GROUPS = 8
START = date(2024, 1, 1)
WORKLOAD = Workload.model_validate(
    {
        "name": "benchmark",
        "keys": ["key"],
        "time": "at",
        "columns": {"key": "string", "at": "timestamp", "value": "float"},
        "unique": ["key", "at"],
        "label": {"column": "value", "above": 0},
        "features": {"columns": [f"x{number}" for number in range(FEATURES)]},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 7 * SLICES, "evaluate": 7},
        "schedule": {"start": START},
    }
)
WINDOWS = partition_windows(WORKLOAD, START + timedelta(days=7 * (SLICES + 1)))


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure the whole train job, tables and shards written, on the warm Spark server."""
    if not accepts_connections(settings.spark_address, settings.spark_port):
        raise NeedsStack(f"no Spark Connect server at {settings.spark_remote}")
    count = QUICK_GROUPS if quick else GROUPS
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as root, _remote(settings):
        store = Store(root, WORKLOAD.name)
        context = PartitionContext(WORKLOAD, Path(root), store, WINDOWS)
        (Path(root) / f"{WORKLOAD.name}.py").write_text("def features(rows): ...\n")  # what they would be made by
        _write_features(store, count)
        firsts = [day for day in WINDOWS.history.days() if slice_of(WORKLOAD, day) == day]
        write_facts(store, slice_facts(Sources.now(context), firsts, {}))
        job = Job("train", context, settings.model_copy(update={"store": root}), "bench")
        files = list_features(context, WINDOWS.train)
        with multiprocessing.get_context("spawn").Pool(settings.spark_cores) as pool:
            ways = {
                "floor": lambda: _floor(pool, files, settings.spark_cores),
                "muster": lambda: _muster(job, count),
                "pandas": lambda: _pandas(job, count),
            }
            turns = _alternately(ways, repeats=1, warm=False) if quick else _alternately(ways, repeats=3)
        job.spark.stop()
    return _figures(turns, count, settings.spark_cores)


def _figures(turns: dict[str, list[float]], count: int, cores: int) -> list[Figure]:
    seconds = {way: statistics.median(times) for way, times in turns.items()}
    # Of each turn, then the median: a machine that is busier in one turn than in another is so for both.
    ratios = {
        way: statistics.median(a / floor for a, floor in zip(times, turns["floor"], strict=True))
        for way, times in turns.items()
    }
    sizes = f"{count:,} groups x {ROWS} rows x {FEATURES} features, LogisticRegression, {cores} cores"
    each = f"{sizes}; floor {seconds['floor']:.1f} s, "
    muster = f"{each}train job {seconds['muster']:.1f} s: models, ledger and its reconciliation; without MLflow"
    pandas = f"{each}groupBy(group).applyInPandas {seconds['pandas']:.1f} s: model bytes in a table"
    return [
        Figure("training, wall against the bare fit floor", ratios["muster"], "x", at_most=1.3, detail=muster),
        Figure("per-group applyInPandas against the same floor", ratios["pandas"], "x", detail=pandas),
        Figure("groups trained a second", count / seconds["muster"], "groups/s", detail=sizes),
    ]


def _alternately(ways: dict[str, Callable[[], None]], repeats: int, warm: bool = True) -> dict[str, list[float]]:
    """Return each way's seconds, turn by turn; all are warmed once, unless told otherwise, then take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(0 if warm else 1, repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            elapsed = time.perf_counter() - start
            print(f"training: {name} {elapsed:.2f} s{'' if turn else ' (warming)'}", file=sys.stderr)
            if turn:
                seconds[name].append(elapsed)
    return seconds


@contextmanager
def _remote(settings: Settings) -> Iterator[None]:
    """Let the job be a client of the local Spark server; a benchmark leaves nothing in MLflow."""
    with (
        patch.dict(os.environ, {"SPARK_REMOTE": settings.spark_remote}),
        patch.object(train.runs, "open_runs", return_value={"logistic": "benchmark"}),
        patch.object(train.runs, "close_run"),
    ):
        yield


def _write_features(store: Store, count: int) -> None:
    """Write the features table as the features stage lays it out: by slice and bucket, sorted by group and time."""
    random = np.random.default_rng(0)
    rows = count * ROWS
    names = [f"AA,{number:05d},ZZ" for number in range(count)]
    owner = np.repeat(np.arange(count), ROWS)
    seconds = np.sort(random.integers(0, SLICES * 7 * 86_400, (count, ROWS)), axis=1).ravel()
    times = np.datetime64(START, "us") + seconds.astype("timedelta64[s]")
    features = random.normal(size=(rows, FEATURES))
    buckets = np.array([groups.bucket(name, WORKLOAD.features.buckets) for name in names])
    slices = np.array([(START + timedelta(days=7 * number)).isoformat() for number in range(SLICES)])
    columns = {
        "group": pa.DictionaryArray.from_arrays(owner, names),
        "parent": np.zeros(rows, dtype=bool),
        "feature_error": pa.nulls(rows),
        "row_id": pa.array(np.arange(rows)).cast(pa.string()),
        "time": pa.array(times).cast(pa.timestamp("us", "UTC")),
        "date": times.astype("datetime64[D]"),
        "label": (features[:, 0] + random.normal(size=rows) > 0).astype(float),
        **{name: features[:, number] for number, name in enumerate(WORKLOAD.features.columns)},
        "partition": slices[seconds // (7 * 86_400)],
        "bucket": buckets[owner],
    }
    schema = features_schema(WORKLOAD)
    table = pa.table(columns).select(schema.names).cast(schema)
    write_deltalake(store.table("features"), table, partition_by=list(TABLES["features"].partitioned_by))


def _muster(job: Job, count: int) -> None:
    trained = train.run(job)["trained"]
    assert trained == count, f"{trained} of {count} groups were trained"


def _floor(pool: Pool, files: FeatureFiles, processes: int) -> None:
    bins = balance(files.rows, processes)
    paths = [[path for bucket in some for path in files.files[bucket]] for some in bins]
    pool.map(_fit_files, paths, chunksize=1)


def _fit_files(paths: Sequence[str]) -> int:
    """Read the files, fit every group's model, and keep none: what no way of training can do without."""
    columns = ["group", "label", *WORKLOAD.features.columns]
    table = ds.dataset(list(paths), format="parquet").to_table(columns=columns).sort_by("group")
    features = np.column_stack([table[name].to_numpy() for name in WORKLOAD.features.columns])
    labels = table["label"].to_numpy().astype(np.int64)
    encoded = table["group"].combine_chunks().dictionary_encode().indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(encoded)) + 1).tolist(), len(encoded)]
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start, stop in pairwise(edges):
            LogisticRegression(random_state=0).fit(features[start:stop], labels[start:stop])
    return len(edges) - 1


def _pandas(job: Job, count: int) -> None:
    """Train as tutorials do: Spark brings each group's rows together as one pandas frame."""
    names = list(WORKLOAD.features.columns)

    def fit(rows: pd.DataFrame) -> pd.DataFrame:
        model: Any = LogisticRegression(random_state=0).fit(rows[names].to_numpy(), rows["label"].astype(int))
        return pd.DataFrame({"group": [rows["group"].iloc[0]], "model": [pickle.dumps(model)]})

    table = job.spark.read.format("delta").load(job.store.table("features"))
    models = table.select("group", "label", *names).groupBy("group").applyInPandas(fit, "group string, model binary")
    target = f"{job.store.root}/per_group"
    models.write.format("delta").mode("overwrite").save(target)
    trained = job.spark.read.format("delta").load(target).count()
    assert trained == count, f"{trained} of {count} groups were trained"
