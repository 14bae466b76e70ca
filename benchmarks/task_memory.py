"""Memory: what training a bucket takes at its peak, against what is foreseen before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import Figure
from muster.context import Context, PartitionContext
from muster.settings import Settings
from muster.storage.store import Store
from muster.training.task_memory import WORKER, bytes_needed
from muster.workload.spec import Workload

PARTITION = "2024-02-05"
CASES = (
    (1_000_000, 20, 1, "sklearn.linear_model.LogisticRegression"),
    (1_000_000, 20, 1, "sklearn.ensemble.HistGradientBoostingClassifier"),
    (1_000_000, 20, 1_000, "sklearn.linear_model.LogisticRegression"),
    (1_000_000, 5, 1_000, "sklearn.linear_model.LogisticRegression"),
)
"""Rows, features and groups of a bucket, and what fits them."""


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Train buckets of made rows, each in a process of its own, and compare its peak with what is foreseen."""
    return [_figure(rows // (20 if quick else 1), *rest) for rows, *rest in CASES]


def _figure(rows: int, columns: int, groups: int, algorithm: str) -> Figure:
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        case = json.dumps([folder, rows, columns, groups, algorithm])
        for step in ("_write", "_train"):  # apart: what is written would otherwise count
            code = f"from benchmarks import task_memory; task_memory.{step}(*{case})"
            done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    peak, foreseen = int(done.stdout.split()[-1]), bytes_needed(columns, rows, rows // groups) - WORKER
    name = f"peak of {algorithm.rpartition('.')[2]} against what is foreseen"
    detail = f"{rows:,} rows x {columns} of {groups:,} groups: {peak / 1e6:.0f} MB, foreseen {foreseen / 1e6:.0f} MB"
    return Figure(name, peak / foreseen, "x", at_most=1.1, detail=f"{detail}, the worker itself apart")


def _context(folder: str, columns: int, algorithm: str) -> PartitionContext:
    declared = {
        "name": "made",
        "keys": ["place"],
        "time": "at",
        "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
        "unique": ["place", "at"],
        "label": {"column": "delay", "above": 0},
        "features": {"columns": [f"f{number}" for number in range(columns)]},
        "algorithms": {"one": algorithm},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
    workload = Workload.model_validate(declared)
    return Context(workload, Path(folder), Store(f"{folder}/store", "made")).at(PARTITION)


def _write(folder: str, rows: int, columns: int, groups: int, algorithm: str) -> None:
    context, random = _context(folder, columns, algorithm), np.random.default_rng(0)
    labels = (np.arange(rows) // groups) % 2.0
    days = np.datetime64(date.fromisoformat("2024-01-15"), "D") + np.arange(rows) * 21 // rows
    own = {
        "group": pa.array([f"group-{number % groups:06d}" for number in range(rows)]),
        "parent": pa.array(np.zeros(rows, bool)),
        "row_id": pa.array([f"{number:09d}" for number in range(rows)]),
        "time": pa.array(days.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
        "date": pa.array(days),
        "label": pa.array(labels),
        "feature_error": pa.nulls(rows, pa.string()),
    }
    features = {name: random.normal(size=rows) + labels for name in context.workload.features.columns}
    pq.write_table(pa.table(own | features), f"{folder}/rows.parquet")


def _train(folder: str, rows: int, columns: int, groups: int, algorithm: str) -> None:
    """Print by how many bytes this process grew at most."""
    from muster.training.bucket import read_run_rows, train_bucket
    from muster.training.fit import fit_plan

    context = _context(folder, columns, algorithm)
    plan, process = fit_plan(context), psutil.Process(os.getpid())
    before, over, peak = process.memory_info().rss, threading.Event(), [0]

    def watch() -> None:
        while not over.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    train_bucket(plan, read_run_rows(context, [f"{folder}/rows.parquet"]), 0, context.store.files, "shards")
    over.set()
    watcher.join()
    print(peak[0] - before)
