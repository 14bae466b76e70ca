"""A partition some of whose groups fail, made by hand, and its stages run here on a registry of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from muster import groups
from muster.champions.journal import Journal
from muster.champions.opened import scorers
from muster.context import Context, PartitionContext
from muster.settings import settings
from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.storage.tables import TABLES, features_schema
from muster.workload.spec import Workload
from muster_jobs import evaluate, promote, score, train
from muster_jobs.command_line import write_result
from muster_jobs.job import Job
from tests.features_facts import write_down
from tests.jobs.conftest import LocalJob

DECLARED: dict[str, Any] = {
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 3},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7, "min_rows": 20},
    "gate": {"resamples": 100, "min_positives": 5, "baseline": "noise", "resample": "row"},
    "schedule": {"start": "2024-01-01"},
    "max_failed": 0.9,
}
FIRST, SECOND = "2024-02-05", "2024-02-12"
BROKEN = "ValueError: no such rate"
STAGES = {stage.__name__.rpartition(".")[2]: stage for stage in (train, evaluate, promote, score)}


class OneByOneJob(LocalJob):
    """The job with its bins run here, and what may be done at once one after the other."""

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        return [call() for call in calls]


class SparkJob(Job):
    """The job as it is, on a session of the test's."""


@dataclass
class Line:
    """A workload of its own."""

    root: Path
    declared: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"made_{uuid.uuid4().hex[:8]}")

    @property
    def workload(self) -> Workload:
        return Workload.model_validate({"name": self.name, **DECLARED, **self.declared})

    @property
    def store(self) -> Store:
        return Store(str(self.root), self.name)

    def at(self, partition: str) -> PartitionContext:
        return Context(self.workload, self.root, self.store).at(partition)

    def job(self, stage: str, partition: str = FIRST, kind: type[Job] = OneByOneJob, **options: str) -> Job:
        here = settings().model_copy(update={"store": str(self.root)})
        return kind(stage, self.at(partition), here, "1", options)

    def run(self, stage: str, partition: str = FIRST, **options: str) -> dict[str, Any]:
        result: dict[str, Any] = STAGES[stage].run(self.job(stage, partition, **options))  # type: ignore[attr-defined]
        return result

    def score(self, spark: Any, partition: str = FIRST, **options: str) -> dict[str, Any]:
        """Score on a Spark session and leave the result where a job does."""
        job = self.job("score", partition, SparkJob, **options)
        job.__dict__["spark"] = spark
        result = score.run(job)
        attempt = f"{self.store.results('score')}/{partition}-{uuid.uuid4().hex}.json"
        write_result(result, self.store.uri(attempt))
        return result

    def whole(self, partition: str = FIRST) -> str:
        """Train, judge and promote all groups; return the run."""
        run = self.run("train", partition)["run"]
        self.run("evaluate", partition)
        self.run("promote", partition)
        return str(run)

    def retry(self, partition: str = FIRST, groups: str = "failed") -> str:
        """Train, judge and promote what failed; return the run."""
        run = str(self.run("train", partition, retry=groups)["run"])
        self.run("evaluate", partition, run=run)
        self.run("promote", partition, run=run)
        return run

    def features(
        self, names: Collection[str], broken: Collection[str] = (), days: Mapping[str, int] | None = None
    ) -> None:
        """Write four rows a group and day; the feature function fails for the `broken`."""
        self.root.mkdir(exist_ok=True)
        (self.root / f"{self.name}.py").write_text("def features(rows): ...\n")
        parts = [self._rows(group, group in broken) for group in names]
        by = list(TABLES["features"].partitioned_by)
        write_deltalake(self.store.table("features"), pa.concat_tables(parts), mode="overwrite", partition_by=by)
        write_down(Context(self.workload, self.root, self.store))

    def _rows(self, group: str, broken: bool) -> pa.Table:
        windows = [self.at(key).windows for key in (FIRST, SECOND)]
        days = sorted({day for of in windows for day in (*of.history.days(), *of.score.days())})
        random = np.random.default_rng(groups.seed(group, 0))
        when = [day for day in days for _ in range(4)]
        labels = random.random(len(when)) < 0.4
        signal = random.normal(size=len(when)) + 2 * labels
        columns = {
            "group": [group] * len(when),
            "parent": [False] * len(when),
            "feature_error": [BROKEN if broken else None] * len(when),
            "row_id": [f"{group}-{number:03}" for number in range(len(when))],
            "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in when],
            "date": when,
            "label": labels.astype(float),
            "signal": np.full(len(when), np.nan) if broken else signal,
            "noise": np.full(len(when), np.nan) if broken else random.normal(size=len(when)),
            "partition": [(day - timedelta(days=day.weekday())).isoformat() for day in when],
            "bucket": [groups.bucket(group, self.workload.features.buckets)] * len(when),
        }
        return pa.table(columns, schema=features_schema(self.workload))

    def rows(self, table: str, partition: str = FIRST) -> list[dict[str, Any]]:
        """Return a partition's rows of a table, by group and run."""
        opened = self.store.open(table)
        if opened is None:
            return []
        rows = dataset(opened).to_table(filter=pc.field("partition") == partition).to_pylist()
        return sorted(rows, key=lambda row: (row["group"], row.get("attempt") or 0, row.get("run") or "", str(row)))

    def ends(self, partition: str = FIRST) -> list[tuple[str, int, str]]:
        """Return group, attempt and state of every row of the ledger."""
        return [(row["group"], row["attempt"], row["state"]) for row in self.rows("ledger", partition)]

    def verdicts(self, partition: str = FIRST) -> dict[tuple[str, str], str]:
        return {(row["group"], row["run"]): row["verdict"] for row in self.rows("decisions", partition)}

    def answering(self, partition: str = FIRST) -> dict[str, str]:
        """Return the run of the model that answers for each group that has one."""
        champions = scorers(self.at(partition))
        if champions is None:
            return {}
        names = sorted({row["group"] for row in self.rows("ledger", partition)})
        with champions.open(names) as opened:
            manifest = opened.incumbents(pa.array(names)).manifest
        return dict(zip(*(manifest[name].to_pylist() for name in ("group", "origin_run")), strict=True))

    @property
    def moves(self) -> list[tuple[str | None, str]]:
        return [(row["group"], row["run"]) for row in Journal(self.store).rows]
