"""A workload whose answers, outcomes and features are made up, written as its tables have them: no stage runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from muster import groups
from muster.context import PartitionContext
from muster.settings import Settings
from muster.storage.delta import replace_rows
from muster.storage.store import Store
from muster.storage.tables import DECISIONS, TABLES, features_schema, predictions_schema
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows
from muster_jobs import monitor
from tests.jobs.conftest import LocalJob

DECLARED: dict[str, Any] = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "outcome": {"binary": {"column": "delay", "above": 0}},
    "features": {"columns": ["signal", "noise"], "buckets": 4},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 42, "evaluate": 14},
    "gate": {"min_positives": 5},
    "schedule": {"start": "2024-01-01"},
    "monitor": {},
}
PARTITION = date(2024, 3, 11)
RUN = "2024-03-11-0000aaaa"
FIRST = date(2024, 1, 15)
PER_DAY = 20

Frames = Callable[[str, pd.DataFrame], pd.DataFrame]


@dataclass
class Made:
    """Groups whose score tells the outcome as well as `signal` does."""

    root: Path
    names: Sequence[str] = ("a", "b", "c")
    sections: dict[str, Any] = field(default_factory=dict)
    partitions: Sequence[date] = (PARTITION,)
    rows: Frames = lambda group, rows: rows
    """What is done to a group's rows, all days of which have the columns of `features` and `score`."""
    answers: Frames = lambda group, rows: rows
    """What is done to a group's predictions."""

    @property
    def workload(self) -> Workload:
        return Workload.model_validate(DECLARED | self.sections)

    @property
    def store(self) -> Store:
        return Store(str(self.root), "made")

    def write(self) -> Made:
        """Write features, predictions and decisions."""
        frames = {name: self.frame(name) for name in self.names}
        self.write_features(frames)
        self.write_predictions(frames)
        self.decide(dict.fromkeys(self.names, 0.75))
        return self

    def frame(self, group: str) -> pd.DataFrame:
        """Return a group's rows of all days."""
        random, workload = np.random.default_rng(groups.seed(group, 1)), self.workload
        days = [FIRST + timedelta(days=n) for n in range((max(self.partitions) - FIRST).days + workload.schedule.every)]
        when = [day for day in days for _ in range(PER_DAY)]
        labels = (random.random(len(when)) < 0.4).astype(float)
        signal = random.normal(size=len(when)) + labels
        columns = {
            "group": group, "parent": False, "feature_error": None, "date": when, "label": labels, "signal": signal,
            "row_id": [f"{group}-{number}" for number in range(len(when))], "noise": random.normal(size=len(when)),
            "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in when],
            "bucket": groups.bucket(group, workload.features.buckets), "score": 1 / (1 + np.exp(0.9 - signal)),
        }  # fmt: skip
        rows = pd.DataFrame(columns)
        first, every = workload.schedule.start, workload.schedule.every
        rows["partition"] = [(day - timedelta(days=(day - first).days % every)).isoformat() for day in when]
        return self.rows(group, rows)

    def write_features(self, frames: dict[str, pd.DataFrame] | None = None) -> None:
        frames = frames or {name: self.frame(name) for name in self.names}
        self._put("features", pd.concat(frames.values()), features_schema(self.workload))

    def write_predictions(self, frames: dict[str, pd.DataFrame] | None = None) -> None:
        frames = frames or {name: self.frame(name) for name in self.names}
        scored = {day.isoformat() for day in self.partitions}
        given = {
            "fallback": None,
            "model_version": "1",
            "origin_run": RUN,
            "features_version": 0,
            "seen_in_training": None,
        }
        rows = pd.concat(
            self.answers(name, rows[rows["partition"].isin(scored)].assign(**given, scored_at=datetime.now(UTC)))
            for name, rows in frames.items()
        )
        self._put("predictions", rows, predictions_schema(self.workload))

    def decide(
        self, scores: dict[str, float], spread: float | None = 0.01, run: str = RUN, chance: float = 0.5
    ) -> None:
        """Write what the models were worth when they were judged."""
        same = {"partition": run[:10], "run": run, "metric": self.workload.gate.metric, "rows": 280, "clusters": 14}
        same |= {"candidate_spread": spread, "chance_score": chance, "verdict": "promote"}
        rows = [{**same, "group": name, "candidate_score": score} for name, score in scores.items()]
        table = pa.Table.from_pylist([{name: row.get(name) for name in DECISIONS.names} for row in rows], DECISIONS)
        replace_rows(self.store, "decisions", table, f"run = '{run}'")

    def _put(self, table: str, rows: pd.DataFrame, schema: pa.Schema) -> None:
        columns = pa.Table.from_pandas(rows[schema.names], schema, preserve_index=False)
        by = list(TABLES[table].partitioned_by)
        write_deltalake(self.store.table(table), columns, mode="overwrite", partition_by=by)

    def job(self, partition: date = PARTITION) -> LocalJob:
        context = PartitionContext(self.workload, self.root, self.store, partition_windows(self.workload, partition))
        return LocalJob("monitor", context, Settings(home=self.root, store=str(self.root)), "test")

    def monitor(self, partition: date = PARTITION) -> dict[str, Any]:
        return monitor.run(self.job(partition))

    def table(self, partition: date = PARTITION) -> pd.DataFrame:
        """Return the partition's rows of `monitoring`, by group."""
        table = self.store.open("monitoring")
        assert table is not None
        rows: pd.DataFrame = table.to_pandas()
        return rows[rows["partition"] == partition.isoformat()].set_index("group")
