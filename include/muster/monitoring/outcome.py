"""What the champion's answers were worth, once outcomes are there: the gate's metric, its doubt, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut
from muster.evaluation.metric import Measure, Scores
from muster.monitoring.jackknife import left_out, parts_of, variance
from muster.outcomes.weighted import mean
from muster.workload.spec import Gate

Floats = NDArray[np.float64]

SURE = 1e-6
"""Probabilities nearer to 0 or 1 than this count as this: their logits are none."""


@dataclass(frozen=True)
class Measured:
    """A metric of some rows, and what tells how far it may be off."""

    value: float
    by_cluster: float
    """Its variance where the gate's clusters, days say, are left out."""
    by_row: float
    """Its variance if rows were independent."""
    size: float
    """Rows of a cluster, as many as tell the same (Kish)."""
    units: float
    """Clusters in effect."""
    without_day: Floats
    """The value without each day: (days,); a day without rows leaves it as it is."""

    @property
    def known(self) -> bool:
        """Whether there is a doubt to reckon with: one cluster, or answers that all hit, have none."""
        return bool(np.isfinite(self.by_cluster) and np.isfinite(self.by_row) and self.by_row > 0)


def measured(
    rows: HeldOut, scores: Scores, days: NDArray[np.intp], count: int, measure: Measure, seed: int
) -> Measured:
    """Measure some answers; `days`: each row's day, numbered from 0 to `count`."""
    clusters, weights = rows.clusters, rows.clusters.weights
    by_day, by_row = Clusters(days, count, weights), Clusters.rows(len(days), weights)
    prepared = measure.prepare(rows.labels, scores, clusters)
    own = left_out(prepared, parts_of(clusters, seed))
    there = np.unique(days)
    without_day = np.full(count, value := measure.value(rows.labels, scores, weights))
    of_days = measure.prepare(rows.labels, scores, by_day)(1 - np.eye(count, dtype=np.int32)[there])
    without_day[there] = np.where(np.isnan(of_days), value, of_days)
    of_rows = left_out(measure.prepare(rows.labels, scores, by_row), parts_of(by_row, seed))
    everything = np.ones(len(days), dtype=bool)
    sizes = clusters.only(np.arange(len(days))).sums(everything)
    return Measured(
        value=value,
        by_cluster=variance(own),
        by_row=variance(of_rows),
        size=float((sizes**2).sum() / sizes.sum()),
        units=rows.units(measure),
        without_day=without_day,
    )


def bias(labels: Floats, answers: Scores, weights: Floats | None) -> float:
    """Return by how much answers are too high in the mean: calibration in the large; of classes, by how much the
    likeliest is thought likelier than it is (Guo et al. 2017)."""
    if answers.ndim == 2:
        hit = answers.argmax(axis=1) == labels
        return mean(answers.max(axis=1) - hit, weights)
    return mean(answers - labels, weights)


def slope(labels: Floats, probabilities: Floats, weights: Floats | None) -> float | None:
    """Return the calibration slope of probabilities (Cox 1958): 1 where they are right, less where they are too sure.

    The coefficient of a logistic regression of the labels on the logits, by Newton's method; None where it has none:
    all answers alike, or labels that they tell apart wholly.
    """
    x = logit(np.clip(probabilities, SURE, 1 - SURE))
    if np.ptp(x) == 0:
        return None
    design, each = np.column_stack([np.ones_like(x), x]), np.ones_like(x) if weights is None else weights
    found = np.array([0.0, 1.0])
    for _ in range(30):
        fitted = expit(design @ found)
        slopes = design.T @ (each * (labels - fitted))
        curvature = (design * (each * fitted * (1 - fitted))[:, np.newaxis]).T @ design
        if not np.linalg.cond(curvature) < 1e12:
            return None
        step = np.linalg.solve(curvature, slopes)
        found = found + step
        if np.abs(step).max() < 1e-10:
            return float(found[1])
    return None


def coverage(labels: Floats, answers: Floats, weights: Floats | None, gate: Gate) -> float | None:
    """Return which share of the labels is no higher than the predicted quantile; None where none is predicted."""
    return mean(labels <= answers, weights) if gate.metric == "pinball" else None
