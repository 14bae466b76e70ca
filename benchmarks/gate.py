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
from muster.evaluation.metrics import METRICS, roc_auc
from muster.evaluation.verdict import judge
from muster.settings import Settings
from muster.workload.spec import Gate

ROWS = 1_000
SEED = 20130506
REPEATS = 3
TIES = 1
"""Digits that the second model's scores are rounded to: about ten values, so nearly every pair of rows is tied."""


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure two models on the same resamples both ways, in turn; then what a group's verdict takes."""
    resamples = 100 if quick else 1_000
    labels, first, second = _group(ROWS)

    def vectorised() -> np.ndarray:
        metrics = [roc_auc(labels, first), roc_auc(labels, second)]
        return paired_bootstrap(metrics, ROWS, resamples, SEED)

    def loop() -> np.ndarray:
        generator = np.random.Generator(np.random.Philox(key=SEED))
        drawn = (generator.integers(ROWS, size=ROWS) for _ in range(resamples))
        return np.array([[roc_auc_score(labels[rows], scores[rows]) for scores in (first, second)] for rows in drawn]).T

    difference = float(np.abs(vectorised() - loop()).max())
    ours, theirs = _in_turn(vectorised, loop)
    times = f"medians of {REPEATS}: {statistics.median(ours) * 1e3:.1f} ms against {statistics.median(theirs):.2f} s"
    size = f"n = {ROWS:,}, {resamples:,} resamples, 2 models"
    return [
        Figure(
            "gate, times faster than a loop over roc_auc_score",
            statistics.median(theirs) / statistics.median(ours),
            "x",
            at_least=100,
            detail=f"{size}; {times}",
        ),
        Figure("gate, largest difference from the loop", difference, "AUC", at_most=1e-12, detail=size),
        *(_seconds_a_group(rows, resamples) for rows in ((200,) if quick else (200, 1_000, 100_000))),
        *(_seconds_a_group(200 if quick else 1_000, resamples, metric) for metric in METRICS if metric != "roc_auc"),
        _seconds_a_group(200 if quick else 1_000, resamples, algorithms=3),
    ]


def _in_turn(*measured: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each, measured one after the other in every round, so that load hits all alike."""
    seconds: list[list[float]] = [[] for _ in measured]
    for number in range(REPEATS):
        sys.stderr.write(f"round {number + 1} of {REPEATS}\n")
        for times, work in zip(seconds, measured, strict=True):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return seconds


def _seconds_a_group(rows: int, resamples: int, metric: str = "roc_auc", algorithms: int = 1) -> Figure:
    labels, first, second = _group(rows)
    gate = Gate.model_validate({"resamples": resamples, "metric": metric})
    candidates = {str(number): np.clip(first - 0.01 * number, 0, 1) for number in range(algorithms)}
    champion = np.clip(second, 0, 1)
    seconds = median_seconds(lambda: judge(labels, candidates, champion, "champion", gate, SEED), REPEATS)
    several = f", {algorithms} algorithms" if algorithms > 1 else ""
    name = f"gate, a verdict by {metric} on {rows:,} rows{several}"
    return Figure(name, seconds, "s", detail=f"{resamples:,} resamples, scores given")


def _group(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (a quarter positive), and scores of two models of which the second has ties."""
    random = np.random.default_rng(SEED)
    labels = random.random(rows) < 0.25
    first, second = random.random((2, rows)) + 0.2 * labels
    return labels, first, np.round(second, TIES)
