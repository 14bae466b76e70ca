"""A registered model a group against a pack: MLflow calls and seconds of promoting and of scoring the same models."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from benchmarks.figures import Figure
from benchmarks.pack_data import PARTITION, features_of, in_driver, mlflow_of_its_own, workload_of, write_models
from muster.context import Context
from muster.mlflow import budget
from muster.mlflow.candidates import MODELS_TAG
from muster.mlflow.runs import close_run, open_runs
from muster.models.vouched import models_digest
from muster.promotion.promote import promote
from muster.scoring.score import prepare, score_bucket
from muster.settings import Settings
from muster.storage.store import Store
from muster.storage.tables import DECISIONS

ROWS_PER_GROUP = 480
"""A week of quotes every 15 minutes."""


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure on one thread against an MLflow server of its own, so that nothing is left in the real one."""
    size = 2 if quick else 48
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as scratch, mlflow_of_its_own(settings):
        weeks = {kind: _week(Path(scratch) / kind, kind, size) for kind in ("pack", "per_group")}
    figures = []
    for stage in ("promote", "score"):
        for kind, stages in weeks.items():
            calls, seconds = stages[stage]
            detail = f"{size} groups: {calls} calls, {seconds:.2f} s, {seconds / size * 1e3:.1f} ms a group, one thread"
            figures.append(Figure(f"{stage}, {kind}: MLflow calls a group", calls / size, "calls", detail=detail))
        slower = weeks["per_group"][stage][1] / weeks["pack"][stage][1]
        figures.append(Figure(f"{stage}, a model a group against a pack: seconds", slower, "x"))
    return figures


def _week(root: Path, kind: str, size: int) -> dict[str, tuple[int, float]]:
    """Promote and score one partition; return calls and seconds of both."""
    name = f"bench_{kind}"
    workload = workload_of(name).model_copy(update={"registry": kind})
    store, run = Store(str(root), name), f"{PARTITION}-0123abcd"
    run_id = open_runs(workload, run, workload.algorithms)["logistic"]
    models = write_models(workload, store, size, run, run_id)
    close_run(run_id, {"seed": 0}, {"groups": size}, {MODELS_TAG: models_digest(models)})
    verdict = {"partition": PARTITION, "run": run, "verdict": "promote", "candidate_score": 0.7}
    verdict |= {"algorithm": "logistic"}
    decisions = pa.Table.from_pylist([verdict | {"group": group} for group in models["group"].to_pylist()], DECISIONS)
    for table, rows in (("models", models), ("decisions", decisions)):
        write_deltalake(store.table(table), rows, partition_by=["partition"])
    features = features_of(workload, models["group"].to_pylist(), size * ROWS_PER_GROUP)
    write_deltalake(store.table("features"), features, partition_by=["partition", "bucket"])
    context = Context(workload, root, store).at(PARTITION)

    def score() -> None:
        scoring = prepare(context)
        for bucket in sorted(scoring.costs):
            score_bucket(scoring, bucket)

    return {
        "promote": _calls_and_seconds(lambda: promote(context, "bench", None, in_driver)),
        "score": _calls_and_seconds(score),
    }


def _calls_and_seconds(work: Callable[[], object]) -> tuple[int, float]:
    calls, started = budget.count(), time.perf_counter()
    work()
    return budget.count() - calls, time.perf_counter() - started
