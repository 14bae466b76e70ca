"""The pack: MLflow calls of a run, logging against a model a group, scoring against bare predict."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from threadpoolctl import threadpool_limits

from benchmarks.figures import Figure
from benchmarks.pack_data import (
    FEATURES,
    PARTITION,
    features_of,
    fitted,
    in_driver,
    mlflow_of_its_own,
    workload_of,
    write_models,
)
from muster.champions import opened
from muster.champions.journal import Journal
from muster.champions.opened import PackChampions
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion, current
from muster.context import Context
from muster.features.files import list_features
from muster.mlflow import budget
from muster.mlflow.candidates import CANDIDATE_TAG, MODELS_TAG, clear_tags, tagged_candidates
from muster.mlflow.client import connect
from muster.mlflow.runs import add_metrics, close_run, open_runs
from muster.models.build import build_pack
from muster.models.scores import scores
from muster.models.vouched import models_digest
from muster.promotion.promote import promote
from muster.scoring import score
from muster.settings import Settings
from muster.storage.store import Store
from muster.storage.tables import DECISIONS
from muster.workload.windows import partition_windows

REPEATS = 3


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure against an MLflow server of its own, so that nothing is left in the real one."""
    sizes, repeats = ((4, 40), 1) if quick else ((439, 10_000), REPEATS)
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as scratch, mlflow_of_its_own(settings):
        weeks = [[_week(Path(scratch) / f"{size}-{n}", size) for n in range(repeats)] for size in sizes]
        alone = _a_model_a_group(repeats)
        scored = _scoring(Path(scratch) / "score", *((16, 64) if quick else (439, 10_000)), repeats)
    return [*_call_figures(sizes, weeks), *_log_figures(sizes[-1], weeks[-1], *alone), *scored]


@dataclass(frozen=True)
class Week:
    """What one run of a workload's first partition took."""

    calls: int
    seconds: float
    """Building, logging, registering and promoting the pack."""


def _week(root: Path, size: int) -> Week:
    """Send what train, evaluate, promote and score of one partition send to MLflow, with all else done for real."""
    name = f"bench_{root.name.replace('-', '_')}"
    workload, store, run = workload_of(name), Store(str(root), name), f"{PARTITION}-0123abcd"
    before = budget.count()
    run_id = open_runs(workload, run, workload.algorithms)["logistic"]
    models = write_models(workload, store, size, run, run_id)
    tags = {CANDIDATE_TAG: PARTITION, MODELS_TAG: models_digest(models)}
    close_run(run_id, {"seed": 0, "groups": size}, {"groups": size, "trained": size}, tags)
    candidates = tagged_candidates(workload)
    context, unit = Context(workload, root, store).at(PARTITION), Unit(name, name)
    current(unit, Journal(store), store)
    add_metrics(run_id, {"gate_promote": size, "gate_score_after": 0.7})
    clear_tags(item.run_id for item in candidates)
    verdict = {
        "partition": PARTITION,
        "run": run,
        "verdict": "promote",
        "candidate_score": 0.7,
        "algorithm": "logistic",
    }
    decisions = [verdict | {"group": group} for group in models["group"].to_pylist()]
    for table, rows in (("models", models), ("decisions", pa.Table.from_pylist(decisions, DECISIONS))):
        write_deltalake(store.table(table), rows, partition_by=["partition"])
    start = time.perf_counter()
    promote(context, "bench", None, in_driver)
    seconds = time.perf_counter() - start
    current(unit, Journal(store), store)
    print(f"promoted {size:,} groups in {seconds:.2f} s", file=sys.stderr)
    return Week(budget.count() - before, seconds)


def _call_figures(sizes: Sequence[int], weeks: Sequence[Sequence[Week]]) -> list[Figure]:
    calls = [{week.calls for week in same} for same in weeks]
    figures = [
        Figure(f"MLflow calls of a run of {size:,} groups", max(counted), "calls", at_most=60, detail="train to score")
        for size, counted in zip(sizes, calls, strict=True)
    ]
    more = max(calls[-1]) - max(calls[0])
    return [*figures, Figure("MLflow calls that more groups add", more, "calls", at_most=0)]


def _a_model_a_group(sample: int) -> tuple[float, float, float, float]:
    """Log and register models one by one; return seconds and calls of one, tuned and as tutorials write it."""
    import mlflow
    from mlflow.models import infer_signature

    connect()
    mlflow.set_experiment("bench_a_model_a_group")
    model, example = fitted(), np.zeros((2, len(FEATURES)))
    signature = infer_signature(example, model.predict(example))
    tuned = {"pip_requirements": ["scikit-learn"], "serialization_format": "cloudpickle"}
    plain = {"input_example": example, "serialization_format": "cloudpickle"}
    number = iter(range(10**6))

    def log(options: dict[str, object]) -> Callable[[], None]:
        def log_one() -> None:
            with mlflow.start_run():
                mlflow.log_param("rows", 200)
                mlflow.log_metric("auc", 0.7)
                name = f"bench_group_{next(number)}"
                mlflow.sklearn.log_model(
                    model, name="model", signature=signature, registered_model_name=name, **options
                )

        return log_one

    results: list[float] = []
    for options in (tuned, plain):
        before = budget.count()
        seconds = [_seconds(log(options)) for _ in range(sample)]
        results += [statistics.median(seconds), (budget.count() - before) / sample]
    return results[0], results[1], results[2], results[3]


def _log_figures(
    size: int, weeks: Sequence[Week], tuned: float, tuned_calls: float, plain: float, plain_calls: float
) -> list[Figure]:
    seconds = statistics.median(week.seconds for week in weeks)
    each = seconds / size
    ours = f"{size:,} groups in {seconds:.2f} s ({each * 1e3:.2f} ms, {weeks[0].calls / size:.4f} calls each)"
    return [
        Figure(
            "pack against a run and a model a group, tuned",
            tuned / each,
            "x",
            detail=f"{ours}; {tuned * 1e3:.0f} ms and {tuned_calls:.0f} calls a model",
        ),
        Figure(
            "pack against a run and a model a group, as tutorials write it",
            plain / each,
            "x",
            detail=f"{ours}; {plain * 1e3:.0f} ms and {plain_calls:.0f} calls a model",
        ),
    ]


def _scoring(root: Path, size: int, rows: int, repeats: int) -> list[Figure]:
    """Measure `score_bucket` over all buckets, the pack opened anew each time, against predict on loaded models."""
    workload, store = workload_of("bench_score"), Store(str(root), "bench_score")
    models = write_models(workload, store, size, f"{PARTITION}-0123abcd", "none")
    windows = partition_windows(workload, PARTITION)
    winners = models.select(["group", "algorithm"]).append_column("score", pa.repeat(0.7, models.num_rows))
    built = build_pack(workload, store, windows.partition, models, winners, None)
    write_deltalake(
        store.table("features"),
        features_of(workload, models["group"].to_pylist(), rows),
        partition_by=["partition", "bucket"],
    )
    champion = RegisteredVersion(Unit(workload.name, workload.name), "1", built.sha256, PARTITION, built.folder)
    champions = PackChampions(champion, store, fits=True, fallback="baseline")
    files = list_features(Context(workload, root, store), windows.score)
    scoring = score.Scoring(workload, files, windows.score, PARTITION, datetime.now(UTC), champions)
    with champions.open([]) as pack:
        reader = pack.reader(workload.pack.cache_bytes)
    loaded = {name: reader.model(name) for name in models["group"].to_pylist()}
    matrix = np.random.default_rng(1).normal(size=(rows, len(FEATURES)))
    parts = dict(zip(loaded, np.array_split(matrix, size), strict=True))

    def bare() -> None:
        for name, model in loaded.items():
            scores(model, parts[name])

    def warm() -> None:
        for bucket in sorted(files.files):
            score.score_bucket(scoring, bucket)

    def cold() -> None:
        opened._opened.cache_clear()
        warm()

    with threadpool_limits(limits=1):
        bare(), cold(), warm()
        rounds = [[_seconds(measured) for measured in (bare, cold, warm)] for _ in range(repeats)]
    floor, cold_seconds, warm_seconds = (statistics.median(column) for column in zip(*rounds, strict=True))
    return _scoring_figures(f"{rows:,} rows x {size:,} groups", floor, cold_seconds, warm_seconds)


def _scoring_figures(sizes: str, floor: float, cold_seconds: float, warm_seconds: float) -> list[Figure]:
    detail = f"{sizes}; bare predict on loaded models {floor:.3f} s"
    return [
        Figure(
            "scoring against bare predict, every model loaded anew",
            cold_seconds / floor,
            "x",
            at_most=1.5,
            detail=f"{detail}; read, loaded, scored {cold_seconds:.3f} s",
        ),
        Figure(
            "scoring against bare predict, models in memory",
            warm_seconds / floor,
            "x",
            detail=f"{detail}; {warm_seconds:.3f} s",
        ),
    ]


def _seconds(measured: Callable[[], object]) -> float:
    start = time.perf_counter()
    measured()
    return time.perf_counter() - start
