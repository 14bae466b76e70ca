"""A bucket before the gate, made by hand: rows, ledger, candidates in a shard, a champion pack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from muster import groups
from muster.evaluation.bucket import Incumbents, judge_bucket
from muster.models.manifest import MANIFEST
from muster.models.shards import ShardWriter, encode
from muster.storage.files import Files
from muster.storage.tables import LEDGER, MODELS, features_schema
from muster.workload.spec import Workload

WORKLOAD = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "known"]},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "gate": {"resample": "row", "resamples": 200, "min_positives": 5, "baseline": "known"},
    "schedule": {"start": "2024-01-01"},
}

SKLEARN: dict[str, Callable[..., float]] = {
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "log_loss": lambda labels, scores, **weights: metrics.log_loss(labels, scores, labels=[0, 1], **weights),
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
}
"""Metric of yes and no -> scikit-learn's, of labels, scores and `sample_weight`."""
RANKS = ("roc_auc", "average_precision")
"""Those of them that rank: undefined on one class."""


@dataclass
class Bucket:
    """Groups put before the gate one by one: `signal` tells their labels, `known` does not."""

    root: Path
    workload: Workload = field(default_factory=lambda: Workload.model_validate(WORKLOAD))
    rows: dict[str, pa.Table] = field(default_factory=dict)
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    candidates: dict[str, Any] = field(default_factory=dict)
    champions: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> Files:
        """The files that the shards are among."""
        return Files(str(self.root))

    @staticmethod
    def model(signal: float) -> LogisticRegression:
        """Return a fitted model that weighs `signal` so, and `known` not at all."""
        model = LogisticRegression()
        model.classes_, model.coef_, model.intercept_ = np.array([0, 1]), np.array([[signal, 0.0]]), np.zeros(1)
        return model

    @staticmethod
    def broken() -> LogisticRegression:
        """Return a model whose own code raises."""
        return LogisticRegression()

    def add(
        self, group: str, candidate: Any = None, champion: Any = None, rows: int = 120, positives: int = 50
    ) -> None:
        """Add a group; without a candidate it was skipped, without a champion the pack does not hold it."""
        random = np.random.default_rng(groups.seed(group, 0))
        labels = np.arange(rows) < positives
        values = {
            "group": [group] * rows,
            "parent": [False] * rows,
            "feature_error": [None] * rows,
            "row_id": [f"{group}-{number}" for number in range(rows)],
            "time": [datetime(2024, 1, 30, tzinfo=UTC)] * rows,
            "date": [date(2024, 1, 30)] * rows,
            "resample_by": ["2024-01-30"] * rows,
            "sample_weight": [1.0] * rows,
            "label": labels.astype(float),
            "signal": random.normal(size=rows) + labels,
            "known": random.normal(size=rows),
            "partition": ["2024-01-29"] * rows,
            "bucket": [0] * rows,
        }
        self.rows[group] = pa.table(values, schema=features_schema(self.workload))
        state = "skipped" if candidate is None else "trained"
        run = {"partition": "2024-02-05", "run": "2024-02-05-0000aaaa", "bucket": 0, "parent": False}
        self.ledger[group] = {**run, "group": group, "state": state}
        self.candidates |= {} if candidate is None else {group: candidate}
        self.champions |= {} if champion is None else {group: champion}

    def pack(self, models: dict[str, Any], folder: str, schema: pa.Schema) -> pa.Table:
        """Write models into one shard of a folder; return the rows that say where each is.

        A group has one model, of the algorithm `logistic`, or a mapping of algorithms to models.
        """
        with ShardWriter(self.files, folder) as shard:
            places = [
                {"group": group, "algorithm": algorithm, **shard.add(encode(model))._asdict()}
                for group, one in models.items()
                for algorithm, model in (one if isinstance(one, dict) else {"logistic": one}).items()
            ]
        common = {"origin_run": "2024-01-29-0000bbbb", "shard": shard.path, "bucket": 0}
        rows = [{**common, **place} for place in places]
        return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)

    def judge(self) -> dict[str, dict[str, Any]]:
        """Judge the bucket as it stands; return the decisions by group."""
        models = self.pack(self.candidates, "run", MODELS)
        manifest = self.pack(self.champions, "pack", MANIFEST)
        champion = Incumbents("7", self.files, manifest) if self.champions else None
        return self.judge_stored(models, champion)

    def judge_stored(self, models: pa.Table, champion: Incumbents | None) -> dict[str, dict[str, Any]]:
        """Judge models as they stand in their shards; return the decisions by group."""
        rows = pa.concat_tables(self.rows[group] for group in sorted(self.rows))
        entries = [{name: entry.get(name) for name in LEDGER.names} for entry in self.ledger.values()]
        ledger = pa.Table.from_pylist(entries, schema=LEDGER)
        decisions = judge_bucket(self.workload, rows, ledger, models, self.files, champion)
        return {row["group"]: row for row in decisions.to_pylist()}


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """Return an empty bucket whose shards are written under a folder of the test's own."""
    return Bucket(tmp_path)
