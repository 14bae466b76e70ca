"""What the benchmarks of packs and of models a group share: a workload, its models, its features, an MLflow server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.mlflow_server import mlflow_server
from muster import groups
from muster.models.shards import ShardWriter, encode
from muster.settings import Settings
from muster.settings import settings as settings_of_process
from muster.settings.limits import CLASSES
from muster.storage.store import Store
from muster.storage.tables import MODELS, features_schema
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows

PARTITION = "2024-02-05"
FEATURES = [f"x{number}" for number in range(8)]
BUCKETS = 16


@contextmanager
def mlflow_of_its_own(settings: Settings) -> Iterator[None]:
    """Let this process use the benchmarks' MLflow server, as fast as it can: what is measured is the server."""
    with mlflow_server(settings) as own:
        os.environ["MUSTER_MLFLOW_URI"] = own.mlflow_tracking_uri
        os.environ["MUSTER_MLFLOW_BUDGET"] = json.dumps(dict.fromkeys(CLASSES, 10_000))
        settings_of_process.cache_clear()
        yield


def workload_of(name: str) -> Workload:
    """Return a workload of eight features and one key."""
    declared = {
        "name": name,
        "keys": ["key"],
        "time": "at",
        "columns": {"key": "string", "at": "timestamp", "y": "float?"},
        "unique": ["key", "at"],
        "label": {"column": "y", "above": 0},
        "features": {"columns": FEATURES, "buckets": BUCKETS},
        "algorithms": {"logistic": ["sklearn.impute.SimpleImputer", "sklearn.linear_model.LogisticRegression"]},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
    return Workload.model_validate(declared)


def fitted() -> Pipeline:
    """Return the estimator of flight_delays, fitted on 200 rows."""
    random = np.random.default_rng(0)
    data = random.normal(size=(200, len(FEATURES)))
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(data, random.random(200) < 0.3)


def write_models(workload: Workload, store: Store, size: int, run: str, run_id: str) -> pa.Table:
    """Write the shards of a run of `size` groups and its rows of `models`."""
    data, rows = encode(fitted()), []
    windows = partition_windows(workload, PARTITION)
    names = [f"group-{number:05}" for number in range(size)]
    fixed = {
        "partition": PARTITION,
        "run": run,
        "parent": False,
        "algorithm": "logistic",
        "rows": 200,
        "positives": 60,
        "prior": 0.3,
    }
    fixed |= {"features_version": 1, "mlflow_run_id": run_id}
    fixed |= {"train_from": windows.train.start, "train_to": windows.train.stop}
    for bucket in range(BUCKETS):
        bucket_names = [name for name in names if groups.bucket(name, BUCKETS) == bucket]
        with ShardWriter(store.files, f"{store.packs}/{run}") as shard:
            stored = [shard.add(data) for _ in bucket_names]
        rows += [
            {**fixed, "group": name, "bucket": bucket, "shard": shard.path, **place._asdict()}
            for name, place in zip(bucket_names, stored, strict=True)
        ]
    return pa.Table.from_pylist(rows, MODELS)


def features_of(workload: Workload, names: Sequence[str], rows: int) -> pa.Table:
    """Return `rows` unlabelled rows of `features` on the partition's first day, spread over the groups `names`."""
    at = datetime.fromisoformat(PARTITION).replace(tzinfo=UTC)
    row_groups = sorted(names[number % len(names)] for number in range(rows))
    random = np.random.default_rng(2)
    columns = {
        "group": row_groups,
        "parent": [False] * rows,
        "feature_error": [None] * rows,
        "row_id": [f"{number:08}" for number in range(rows)],
        "time": [at] * rows,
        "date": [at.date()] * rows,
        "label": [None] * rows,
        **{name: random.normal(size=rows) for name in FEATURES},
        "partition": [PARTITION] * rows,
        "bucket": [groups.bucket(name, BUCKETS) for name in row_groups],
    }
    return pa.table(columns, schema=features_schema(workload))


def in_driver(tasks: int, work: Callable[[int], pa.Table], schema: pa.Schema) -> pa.Table:
    """Run what executors would, here."""
    return pa.concat_tables([work(number) for number in range(tasks)])
