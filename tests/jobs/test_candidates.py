"""Candidates in a real MLflow, from train's tag to the end of evaluate: found, judged once, and cleared."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from muster import groups
from muster.context import Context, PartitionContext
from muster.errors import MusterError
from muster.evaluation.candidates import NotTrained, read_candidates
from muster.mlflow import budget, runs
from muster.mlflow.candidates import CANDIDATE_TAG, clear_tags, tagged_candidates
from muster.models.vouched import ModelsNotVouched
from muster.settings import settings
from muster.storage.store import Store
from muster.storage.tables import MODELS, TABLES, features_schema
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows
from muster_jobs import evaluate, train
from tests.features_facts import write_down
from tests.jobs.conftest import LocalJob

pytestmark = pytest.mark.slow
DECLARED = {
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 2},
    "algorithms": {
        "neighbours": "sklearn.neighbors.KNeighborsClassifier",
        "logistic": "sklearn.linear_model.LogisticRegression",
    },
    "windows": {"train": 14, "evaluate": 7, "min_rows": 20},
    "gate": {"resamples": 100, "min_positives": 5},
    "schedule": {"start": "2024-01-01"},
}
FIRST, SECOND = "2024-02-05", "2024-02-12"


class OneByOneJob(LocalJob):
    """The job with its bins run here, and what may be done at once one after the other."""

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        return [call() for call in calls]


@dataclass
class Line:
    """A workload of its own, trained and judged partition by partition."""

    root: Path
    names: Sequence[str] = ("a", "b", "c")
    declared: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"made_{uuid.uuid4().hex[:8]}")

    @property
    def store(self) -> Store:
        return Store(str(self.root), self.name)

    @property
    def workload(self) -> Workload:
        return Workload.model_validate({"name": self.name, **DECLARED, **self.declared})

    def run(self, stage: Any, partition: str) -> dict[str, Any]:
        workload = self.workload
        windows, name = partition_windows(workload, partition), stage.__name__.split(".")[-1]
        here = settings().model_copy(update={"store": str(self.root)})
        result: dict[str, Any] = stage.run(
            OneByOneJob(name, PartitionContext(workload, self.root, self.store, windows), here, "1")
        )
        return result

    def features(self, seed: int = 0) -> None:
        """Write four rows a group and day, of every day that the two partitions look at."""
        self.root.mkdir(exist_ok=True)
        (self.root / f"{self.name}.py").write_text("def features(rows): ...\n")
        days = sorted({day for key in (FIRST, SECOND) for day in partition_windows(self.workload, key).history.days()})
        parts = []
        for group in self.names:
            random = np.random.default_rng(groups.seed(group, seed))
            when = [day for day in days for _ in range(4)]
            labels = random.random(len(when)) < 0.4
            columns = {
                "group": [group] * len(when),
                "parent": [False] * len(when),
                "feature_error": [None] * len(when),
                "row_id": [f"{group}-{number}" for number in range(len(when))],
                "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in when],
                "date": when,
                "label": labels.astype(float),
                "signal": random.normal(size=len(when)) + labels,
                "noise": random.normal(size=len(when)),
                "partition": [(day - timedelta(days=day.weekday())).isoformat() for day in when],
                "bucket": [groups.bucket(group, 2)] * len(when),
            }
            parts.append(pa.table(columns, schema=features_schema(self.workload)))
        by = list(TABLES["features"].partitioned_by)
        write_deltalake(self.store.table("features"), pa.concat_tables(parts), mode="overwrite", partition_by=by)
        write_down(Context(self.workload, self.root, self.store))

    def tags(self) -> set[tuple[str, str, str]]:
        """Return partition, run and algorithm of every candidate that MLflow has."""
        return {(item.partition, item.run, item.algorithm) for item in tagged_candidates(self.workload)}

    def decisions(self) -> list[dict[str, Any]]:
        table = self.store.open("decisions")
        assert table is not None
        rows: list[dict[str, Any]] = table.to_pyarrow_table().sort_by("group").to_pylist()
        return rows


@pytest.fixture
def line(tmp_path: Path, mlflow_settings: str) -> Line:
    line = Line(tmp_path)
    line.features()
    return line


def mlflow_runs(line: Line) -> list[Any]:
    client = runs.connect()
    return list(client.search_runs([client.get_experiment_by_name(line.name).experiment_id]))


def test_each_algorithm_is_one_finished_run_and_a_candidate_until_it_is_judged(line: Line) -> None:
    name = line.run(train, FIRST)["run"]
    assert line.tags() == {(FIRST, name, "logistic"), (FIRST, name, "neighbours")}
    assert {(run.info.run_name, run.info.status) for run in mlflow_runs(line)} == {
        (f"{name} logistic", "FINISHED"),
        (f"{name} neighbours", "FINISHED"),
    }
    result = line.run(evaluate, FIRST)
    assert (result["run"], line.tags()) == (name, set())
    assert {row["algorithm"] for row in line.decisions()} <= {"logistic", "neighbours"}
    by_algorithm = {run.data.tags["muster.algorithm"]: run.data.metrics for run in mlflow_runs(line)}
    assert [metrics["trained"] for metrics in by_algorithm.values()] == [3, 3]
    assert sum(metrics["gate_chosen"] for metrics in by_algorithm.values()) == result["judged"] == 3


def test_the_search_of_a_candidate_is_told_in_mlflow_and_its_choice_in_the_table(line: Line) -> None:
    steps = {"sklearn.neighbors.KNeighborsClassifier": {}}
    line.declared = {"algorithms": {"one": {"steps": steps, "search": {"grid": {"n_neighbors": [1, 9]}}}}}
    line.run(train, FIRST)
    (run,) = mlflow_runs(line)
    assert '"grid":{"n_neighbors":[1,9]}' in run.data.params["algorithm"]
    models = line.store.open("models")
    assert models is not None
    assert set(models.to_pyarrow_table()["params"].to_pylist()) <= {'{"n_neighbors": 1}', '{"n_neighbors": 9}'}


def test_a_model_that_training_did_not_write_is_not_loaded_whatever_the_table_says(line: Line) -> None:
    shard = Path(line.store.uri(line.store.packs)) / "forged.bin"
    for judged_before in (False, True):
        line.run(train, FIRST)
        if judged_before:  # its tags as a candidate are cleared
            line.run(evaluate, FIRST)
        rows = line.store.open("models").to_pyarrow_table().to_pylist()
        shard.write_bytes(b"forged")
        forged = {"offset": 0, "length": 6, "sha256": hashlib.sha256(b"forged").hexdigest()}
        forged["shard"] = shard.relative_to(line.root).as_posix()
        table = pa.Table.from_pylist([rows[0] | forged, *rows[1:]], MODELS)
        write_deltalake(line.store.table("models"), table, mode="overwrite", partition_by=["partition"])
        with pytest.raises(ModelsNotVouched, match=f"{FIRST}: the rows of '{rows[0]['algorithm']}' in 'models'"):
            line.run(evaluate, FIRST)
    assert {row["run"] for row in line.decisions()} == {rows[0]["run"]}


def test_rows_that_change_between_driver_and_executor_are_refused(line: Line) -> None:
    line.run(train, FIRST)
    context = PartitionContext(line.workload, line.root, line.store, partition_windows(line.workload, FIRST))
    candidates = read_candidates(context, tagged_candidates(line.workload))
    buckets = [bucket for bucket in (0, 1) if candidates.models_of(bucket).num_rows]
    assert sum(candidates.models_of(bucket).num_rows for bucket in buckets) == 6
    (file,) = candidates.models.files
    rows = pq.read_table(file).to_pylist()
    pq.write_table(pa.Table.from_pylist([{**row, "offset": 1} for row in rows], pq.read_schema(file)), file)
    with pytest.raises(ModelsNotVouched):
        candidates.models_of(buckets[0])


def test_training_again_makes_no_other_runs(line: Line) -> None:
    assert line.run(train, FIRST) == line.run(train, FIRST)
    assert len(mlflow_runs(line)) == 2


def test_judging_again_without_tags_gives_the_same_decisions(line: Line) -> None:
    line.run(train, FIRST)
    result, decisions = line.run(evaluate, FIRST), line.decisions()
    assert line.run(evaluate, FIRST) == result
    assert line.decisions() == decisions


@pytest.mark.parametrize("next_one", [FIRST, SECOND])
def test_tags_that_a_broken_off_evaluation_left_are_cleared_by_the_next(
    line: Line, next_one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.run(train, FIRST)
    second = line.run(train, SECOND)["run"]
    with monkeypatch.context() as broken:
        broken.setattr(evaluate, "clear_tags", lambda run_ids: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            line.run(evaluate, FIRST)
    assert len(line.tags()) == 4
    line.run(evaluate, next_one)
    waiting = {(SECOND, second, name) for name in ("logistic", "neighbours")}
    assert line.tags() == (waiting if next_one == FIRST else set())


def test_the_candidates_of_a_superseded_training_are_cleared_and_not_judged(line: Line) -> None:
    old = line.run(train, FIRST)["run"]
    line.features(seed=1)
    new = line.run(train, FIRST)["run"]
    assert {run for _, run, _ in line.tags()} == {old, new}
    assert line.run(evaluate, FIRST)["run"] == new
    assert {row["run"] for row in line.decisions()} == {new}
    assert line.tags() == set()


def test_a_run_that_somebody_tagged_is_no_candidate(line: Line) -> None:
    line.run(train, FIRST)
    before, client = line.tags(), runs.connect()
    client.create_run(client.get_experiment_by_name(line.name).experiment_id, tags={CANDIDATE_TAG: FIRST})
    assert line.tags() == before


def test_a_tag_that_another_evaluation_has_cleared_is_cleared(line: Line) -> None:
    line.run(train, FIRST)
    clear_tags([item.run_id for item in tagged_candidates(line.workload)] * 2)
    assert line.tags() == set()


def test_a_missing_candidate_is_told_with_what_to_do(line: Line) -> None:
    name = line.run(train, FIRST)["run"]
    (run_id,) = [item.run_id for item in tagged_candidates(line.workload) if item.algorithm == "logistic"]
    runs.connect().delete_tag(run_id, CANDIDATE_TAG)
    message = (
        rf"no run of '{name}' tagged 'muster.candidate = {FIRST}' for logistic; run train for this partition first"
    )
    with pytest.raises(NotTrained, match=message):
        line.run(evaluate, FIRST)
    line.run(train, FIRST)
    assert line.run(evaluate, FIRST)["run"] == name


@pytest.mark.parametrize(("status", "error"), [(429, budget.BudgetSpent), (503, budget.ServerUnavailable)])
def test_a_server_that_refuses_is_never_no_candidate(
    line: Line, status: int, error: type[MusterError], monkeypatch: pytest.MonkeyPatch
) -> None:
    line.run(train, FIRST)

    class Refusing(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.send_response(status)
            self.end_headers()

        do_GET = do_POST = _refuse

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MUSTER_MLFLOW_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"patience": 1, "first_pause": 0.01}')
    settings.cache_clear()
    try:
        with pytest.raises(error):
            line.run(evaluate, FIRST)
    finally:
        server.shutdown()
    assert line.store.open("decisions") is None


def test_calls_grow_with_algorithms_and_never_with_groups(line: Line, tmp_path: Path) -> None:
    counts = []
    for number, (names, algorithms) in enumerate([("abc", 2), ("abcdefghijkl", 2), ("abc", 1)]):
        first_algorithms = dict(list(DECLARED["algorithms"].items())[:algorithms])  # type: ignore[attr-defined]
        other = Line(tmp_path / str(number), list(names), {"algorithms": first_algorithms})
        other.features()
        before = budget.count()
        other.run(train, FIRST)
        other.run(evaluate, FIRST)
        counts.append(budget.count() - before)
    few, many, one = counts
    assert few == many
    assert few - one == 5  # create, log, end, the gate's numbers, clear
    assert one <= 12
