"""The jobs of two weeks on an object store, behind a proxy that fails MLflow: what comes out is what does without a
fault on a disk."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake

from muster import groups
from muster.champions.errors import ALIAS
from muster.champions.journal import Journal
from muster.champions.versions import FOLDER, MANIFEST_DIGEST, PARTITION
from muster.context import Context
from muster.mlflow.candidates import tagged_candidates
from muster.mlflow.client import connect
from muster.mlflow.runs import ALGORITHM_TAG, RUN_TAG
from muster.settings import Settings, settings
from muster.storage.store import Store
from muster.storage.tables import features_schema
from muster.workload.load import load_workload
from muster.workload.spec import Workload
from tests.features_facts import write_down
from tests.mlflow_faults.conftest import GENEROUS, Processes, faults
from tests.mlflow_faults.forked import run_module
from tests.mlflow_faults.plan import KINDS, PASS, Plan
from tests.mlflow_faults.running import RunningProxy
from tests.object_store import ObjectStore

__all__ = ["faults"]
pytestmark = [pytest.mark.slow, pytest.mark.spark]

PARTITIONS = ("2024-02-05", "2024-02-12")
STAGES = ("train", "evaluate", "promote", "score")
GROUPS = [f"place {number}" for number in range(12)]
MOST_ATTEMPTS = 25
DECLARED = {
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 2},
    "algorithms": {
        "logistic": "sklearn.linear_model.LogisticRegression",
        "tree": {"steps": [{"name": "sklearn.tree.DecisionTreeClassifier", "params": {"max_depth": 2}}]},
    },
    "windows": {"train": 14, "evaluate": 7},
    "gate": {"baseline": "noise", "resample": "row"},
    "schedule": {"start": "2024-01-01"},
}
TIMES = {"seconds", "scored_at", "at", "mlflow_run_id", "fit_seconds", "features_table"}
"""Columns that no two runs share."""


def features(workload: Workload) -> pa.Table:
    """Return six rows a group and day; `signal` tells the label."""
    first = date.fromisoformat(PARTITIONS[0]) - timedelta(days=21)
    days = [first + timedelta(days=number) for number in range(35) for _ in range(6)]
    parts = []
    for group in GROUPS:
        random = np.random.default_rng(groups.seed(group, 0))
        labels = random.random(len(days)) < 0.4
        columns = {
            "group": [group] * len(days),
            "parent": [False] * len(days),
            "feature_error": [None] * len(days),
            "row_id": [f"{group}-{number:04}" for number in range(len(days))],
            "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days],
            "date": days,
            "label": labels.astype(float),
            "signal": random.normal(size=len(days)) + labels,
            "noise": random.normal(size=len(days)),
            "partition": [(day - timedelta(days=day.weekday())).isoformat() for day in days],
            "bucket": [groups.bucket(group, workload.features.buckets)] * len(days),
        }
        parts.append(pa.table(columns, schema=features_schema(workload)))
    return pa.concat_tables(parts).sort_by([("group", "ascending"), ("time", "ascending")])


@dataclass
class Weeks:
    """Two weeks of one workload, as job processes."""

    folder: Path
    root: str
    environment: dict[str, str]
    ends: list[int] = field(default_factory=list)
    """Exit codes, in order."""

    @property
    def yaml(self) -> Path:
        return self.folder / "faulty.yaml"

    @property
    def store(self) -> Store:
        return Store(self.root, "faulty")

    def declare(self) -> None:
        self.yaml.write_text(yaml.safe_dump(DECLARED))
        self.yaml.with_suffix(".py").write_text("def features(rows): ...\n")
        workload = load_workload(self.yaml)
        write_deltalake(self.store.table("features"), features(workload), partition_by=["partition", "bucket"])
        write_down(Context(workload, self.folder, self.store))

    def run(self) -> None:
        self.declare()
        for partition in PARTITIONS:
            for stage in STAGES:
                self._stage(stage, partition)

    def _stage(self, stage: str, partition: str) -> None:
        """Run a stage as Airflow does: again at `until` after code 75, again after another retryable failure."""
        result = self.folder / "results" / f"{stage}-{partition}.json"
        arguments = ["--workload", str(self.yaml), "--partition", partition, "--result", str(result)]
        output = self.folder / "output.txt"
        for _ in range(MOST_ATTEMPTS):
            self.ends.append(run_module(f"muster_jobs.{stage}", arguments, self.environment, output))
            if self.ends[-1] == 0:
                return
            assert self.ends[-1] in (1, os.EX_TEMPFAIL), output.read_text()
            if self.ends[-1] == os.EX_TEMPFAIL:
                until = datetime.fromisoformat(json.loads(result.read_text())["until"])
                time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
        raise AssertionError(f"{stage} {partition} did not come through:\n{output.read_text()}")

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return all rows that the stages wrote, without what tells the time or MLflow's own ids."""
        rows_by_table = {}
        for name in ("models", "ledger", "decisions", "predictions", "alias_journal"):
            table = self.store.open(name)
            assert table is not None, name
            rows = table.to_pyarrow_table().to_pylist()
            kept = [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
            for row in kept if name == "alias_journal" else ():
                row["evidence"] = {k: v for k, v in json.loads(row["evidence"]).items() if k not in TIMES}
                row.pop("who", None)
            rows_by_table[name] = sorted(kept, key=lambda row: json.dumps(row, sort_keys=True, default=str))
        return rows_by_table

    def in_mlflow(self) -> dict[str, Any]:
        """Return what there is in MLflow, without ids and times."""
        client = connect()
        (experiment,) = [item for item in client.search_experiments() if item.name == "faulty"]
        runs = client.search_runs([experiment.experiment_id])
        models = client.search_logged_models([experiment.experiment_id])
        versions = client.search_model_versions("name = 'faulty'")
        tags = (MANIFEST_DIGEST, FOLDER, PARTITION, RUN_TAG)
        return {
            "runs": sorted(
                (run.data.tags[RUN_TAG], run.data.tags[ALGORITHM_TAG], run.info.status, sorted(run.data.params.items()))
                for run in runs
            ),
            "metrics": sorted(sorted(run.data.metrics.items()) for run in runs),
            "models": sorted((model.name, model.status, model.tags[MANIFEST_DIGEST]) for model in models),
            "versions": sorted((each.version, each.status, *(each.tags[tag] for tag in tags)) for each in versions),
            "champion": client.get_model_version_by_alias("faulty", ALIAS).version,
            "candidates": len(tagged_candidates(load_workload(self.yaml))),
        }

    def moves(self) -> list[tuple[Any, ...]]:
        return [(row["from_version"], row["to_version"], row["manifest_sha256"]) for row in Journal(self.store).rows]


@dataclass(frozen=True)
class Outcome:
    tables: dict[str, Any]
    mlflow: dict[str, Any]
    moves: list[tuple[Any, ...]]
    ends: list[int]


class Met(NamedTuple):
    """What requests met: how many each fate, and the busiest second of each class of call."""

    fates: Counter[str]
    busiest: dict[str, int]


def outcome(
    faults: RunningProxy, spark: str, folder: Path, root: str, monkeypatch: pytest.MonkeyPatch, plan: Plan
) -> tuple[Outcome, Met]:
    """Run two weeks behind the proxy, with a store; return what came out, and what the proxy has seen."""
    processes = Processes(folder / "home", faults.uri)
    more = {"SPARK_REMOTE": spark, "MUSTER_STORE": root}
    weeks = Weeks(folder, root, processes.environment(GENEROUS) | more)
    faults.follow(plan)
    weeks.run()
    met = Met(Counter(line["fate"] for line in faults.seen()), faults.busiest())
    faults.follow(Plan())
    for name, value in weeks.environment.items():
        if name.startswith("MUSTER_"):
            monkeypatch.setenv(name, value)
    settings.cache_clear()
    came_out = Outcome(weeks.tables(), weeks.in_mlflow(), weeks.moves(), weeks.ends)
    clear_away(folder.name)
    return came_out, met


def clear_away(name: str) -> None:
    """Let the next weeks find an MLflow without a trace of these; the same name gives the same runs and digests."""
    client = connect()
    client.delete_registered_model("faulty")
    experiment = client.get_experiment_by_name("faulty")
    client.rename_experiment(experiment.experiment_id, f"faulty {name}")
    client.delete_experiment(experiment.experiment_id)


@pytest.fixture(scope="module")
def without_faults(
    faults: RunningProxy, s3_spark: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    """On a disk."""
    folder = tmp_path_factory.mktemp("without")
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield outcome(faults, s3_spark.spark_remote, folder, str(folder / "store"), monkeypatch, Plan())[0]
    settings.cache_clear()


def test_weeks_without_faults_end_as_expected(without_faults: Outcome) -> None:
    assert without_faults.ends == [0] * len(PARTITIONS) * len(STAGES)
    assert {name: len(items) for name, items in without_faults.mlflow.items() if isinstance(items, list)} == {
        "runs": 4,
        "metrics": 4,
        "models": 2,
        "versions": 2,
    }
    assert [move[:2] for move in without_faults.moves] == [(None, "1"), ("1", "2")]
    assert len(without_faults.tables["predictions"]) == 2 * 7 * 6 * len(GROUPS)


def test_faults_change_nothing_of_what_comes_out(
    without_faults: Outcome,
    faults: RunningProxy,
    s3_spark: Settings,
    object_store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    plan = Plan(seed=11, share=0.7, held=1.2, pending=0.5)
    with_faults, met = outcome(faults, s3_spark.spark_remote, tmp_path, object_store.root("faulty"), monkeypatch, plan)
    assert set(met.fates) == {PASS, *KINDS}
    assert met.fates[PASS] < 0.5 * met.fates.total()
    assert with_faults.mlflow == without_faults.mlflow
    assert with_faults.moves == without_faults.moves
    assert with_faults.tables == without_faults.tables
    assert all(met.busiest[call_class] <= GENEROUS[call_class] for call_class in met.busiest), met.busiest
