"""The gate: paired bootstrap against a loop over scikit-learn's roc_auc_score; what a verdict costs by each metric."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.figures import Figure, median_seconds
from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Rival
from muster.evaluation.metrics import METRICS, roc_auc
from muster.evaluation.verdict import judge
from muster.settings import Settings
from muster.workload.spec import Gate

ROWS, DAYS = 1_000, 28
GOALS = ((200, None), (1_000, 0.003), (100_000, 0.1))
"""Rows of a group, and the seconds that a verdict may take."""
SEED = 20130506
REPEATS = 3
TIES = 1
"""Digits that the second model's scores are rounded to: about ten values, so nearly every pair of rows is tied."""


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure two models on the same resamples both ways, in turn; then what a group's verdict takes."""
    resamples, repeats = (100, 1) if quick else (1_000, REPEATS)
    labels, first, second = _group(ROWS)

    def vectorised() -> np.ndarray:
        each = Clusters.rows(ROWS)
        metrics = [roc_auc(labels, first, each), roc_auc(labels, second, each)]
        return paired_bootstrap(metrics, each, resamples, SEED)

    def loop() -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=SEED))
        drawn = (generator.integers(ROWS, size=ROWS) for _ in range(resamples))
        return np.array([[roc_auc_score(labels[rows], scores[rows]) for scores in (first, second)] for rows in drawn]).T

    difference = float(np.abs(vectorised() - loop()).max())
    ours, theirs = _in_turn(repeats, vectorised, loop)
    times = f"medians of {repeats}: {statistics.median(ours) * 1e3:.1f} ms against {statistics.median(theirs):.2f} s"
    size, few = f"n = {ROWS:,}, {resamples:,} resamples, 2 models", 200 if quick else 1_000
    return [
        Figure(
            "gate, times faster than a loop over roc_auc_score",
            statistics.median(theirs) / statistics.median(ours),
            "x",
            at_least=100,
            detail=f"{size}; {times}",
        ),
        Figure("gate, largest difference from the loop", difference, "AUC", at_most=1e-12, detail=size),
        *(_seconds_a_group(rows, resamples, repeats, at_most=goal) for rows, goal in (GOALS[:1] if quick else GOALS)),
        *(_seconds_a_group(few, resamples, repeats, metric) for metric in METRICS if metric != "roc_auc"),
        _seconds_a_group(few, resamples, repeats, algorithms=3),
        _seconds_a_group(few, resamples, repeats, resample="row"),
    ]


def _in_turn(repeats: int, *measured: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each, measured one after the other in every round, so that load hits all alike."""
    seconds: list[list[float]] = [[] for _ in measured]
    for number in range(repeats):
        sys.stderr.write(f"round {number + 1} of {repeats}\n")
        for times, work in zip(seconds, measured, strict=True):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return seconds


def _seconds_a_group(
    rows: int,
    resamples: int,
    repeats: int,
    metric: str = "roc_auc",
    algorithms: int = 1,
    resample: str = "day",
    at_most: float | None = None,
) -> Figure:
    labels, first, second = _group(rows)
    gate = Gate.model_validate({"resamples": resamples, "metric": metric, "resample": resample})
    clusters = Clusters.rows(rows) if resample == "row" else Clusters.equal(np.arange(rows) * DAYS // rows)
    held_out = HeldOut(labels.astype(float), clusters)
    candidates = {str(number): np.clip(first - 0.01 * number, 0, 1) for number in range(algorithms)}
    champion = Rival("champion", np.clip(second, 0, 1), constant=0.25)
    seconds = median_seconds(lambda: judge(held_out, candidates, champion, gate, SEED), repeats)
    several = f", {algorithms} algorithms" if algorithms > 1 else ""
    drawn = f"of {DAYS} days" if resample == "day" else "drawn by row"
    name = f"gate, a verdict by {metric} on {rows:,} rows {drawn}{several}"
    return Figure(name, seconds, "s", at_most, detail=f"{resamples:,} resamples, scores given")


def _group(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (a quarter positive), and scores of two models of which the second has ties."""
    random = np.random.default_rng(SEED)
    labels = random.random(rows) < 0.25
    first, second = random.random((2, rows)) + 0.2 * labels
    return labels, first, np.round(second, TIES)
