"""Metrics of a score vector over many weighted samples at once: prepared once, then given matrices of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Labels = NDArray[np.bool_] | NDArray[np.float64]
"""A row each: 0 and 1, or for the metrics of errors any finite numbers: (rows,)."""
Scores = NDArray[np.float64]
"""A finite score a row: (rows,)."""
Counts = NDArray[np.int32]
"""How often each row is in each sample: (samples, rows)."""
Values = NDArray[np.float64]
"""A metric's value in each sample, NaN where it is undefined: (samples,)."""
Metric = Callable[[Counts], Values]


@dataclass(frozen=True)
class Measure:
    """A metric that a workload may name, and how the gate has to treat it."""

    prepare: Callable[[Labels, Scores], Metric]
    higher_is_better: bool
    of_classes: bool
    """It is about positives and negatives, so both must be there to judge on; else only rows are counted."""
    of_probabilities: bool = False
    """Scores outside 0 to 1 have no value."""

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that more is better."""
        return 1 if self.higher_is_better else -1


def roc_auc(labels: Labels, scores: Scores) -> Metric:
    """Prepare the ROC AUC of `scores` against `labels`: sorted once, for any number of samples.

    AUC is the Mann-Whitney U statistic over positives x negatives: the share of pairs of a positive and a negative
    that the scores order rightly, ties counting half. Twice U is summed in integers, so ties are exact. A sample of
    one class only has no AUC: NaN.
    """
    positives = np.flatnonzero(labels)
    negatives = np.flatnonzero(labels == 0)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    below = np.searchsorted(scores[negatives], scores[positives], side="left")
    up_to = np.searchsorted(scores[negatives], scores[positives], side="right")

    def values(counts: Counts) -> Values:
        ranked = np.zeros((len(counts), len(negatives) + 1), dtype=np.int32)
        np.cumsum(counts.take(negatives, axis=1), axis=1, out=ranked[:, 1:])
        drawn = counts.take(positives, axis=1)
        twice_below = ranked.take(below, axis=1) + ranked.take(up_to, axis=1)
        twice_u = np.einsum("sr,sr->s", drawn, twice_below, dtype=np.int64)
        pairs = drawn.sum(axis=1, dtype=np.int64) * ranked[:, -1]
        return _share(twice_u, 2 * pairs)

    return values


def average_precision(labels: Labels, scores: Scores) -> Metric:
    """Prepare the average precision of `scores` against `labels`: sorted once, for any number of samples.

    The sum over thresholds of the gain in recall times the precision there, without interpolation, as scikit-learn
    defines it; tied scores pass a threshold together. Thresholds without a positive gain no recall and are left out.
    A sample of one class only has none: NaN. (Scikit-learn says 0 without positives and 1 without negatives, whatever
    the scores.)
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], np.asarray(labels[order], dtype=bool)
    hits = np.flatnonzero(positive)
    last = np.flatnonzero(np.diff(ranked[hits], append=np.nan))  # the last positive of each threshold
    passed = np.searchsorted(-ranked, -ranked[hits[last]], side="right") - 1 if len(hits) else hits

    def values(counts: Counts) -> Values:
        drawn = np.cumsum(counts.take(order, axis=1), axis=1, dtype=np.int32)
        caught = np.cumsum(counts.take(order[hits], axis=1), axis=1, dtype=np.int32).take(last, axis=1)
        precision = _share(caught, drawn.take(passed, axis=1), empty=0.0)
        gained = np.diff(caught, axis=1, prepend=0)
        of_positives = counts[:, order[hits]].sum(axis=1)
        both = (of_positives > 0) & (of_positives < counts.sum(axis=1))
        return _share(np.einsum("st,st->s", gained, precision), np.where(both, of_positives, 0))

    return values


def log_loss(labels: Labels, scores: Scores) -> Metric:
    """Prepare the log loss of probabilities `scores`, clipped by one float's rounding error as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    sure = np.clip(scores, tiny, 1 - tiny)
    return _mean(-(xlogy(labels, sure) + xlogy(1.0 - labels, np.clip(1 - scores, tiny, 1 - tiny))))


def rmse(labels: Labels, scores: Scores) -> Metric:
    """Prepare the root of the mean squared error of `scores`."""
    squared = _mean((scores - labels) ** 2)
    return lambda counts: np.sqrt(squared(counts))


def mae(labels: Labels, scores: Scores) -> Metric:
    """Prepare the mean absolute error of `scores`."""
    return _mean(np.abs(scores - labels))


def _mean(losses: NDArray[np.float64]) -> Metric:
    """Prepare the mean of a loss a row; a sample of no rows has none: NaN."""
    return lambda counts: _share(counts @ losses, counts.sum(axis=1))


def _share(part: NDArray[Any], whole: NDArray[Any], empty: float = np.nan) -> Values:
    """Return `part / whole`, and `empty` where the whole is 0."""
    shares: Values = np.full(whole.shape, empty)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


METRICS: Mapping[str, Measure] = MappingProxyType(
    {
        "roc_auc": Measure(roc_auc, higher_is_better=True, of_classes=True),
        "average_precision": Measure(average_precision, higher_is_better=True, of_classes=True),
        "log_loss": Measure(log_loss, higher_is_better=False, of_classes=True, of_probabilities=True),
        "rmse": Measure(rmse, higher_is_better=False, of_classes=False),
        "mae": Measure(mae, higher_is_better=False, of_classes=False),
    }
)
"""Every metric that a workload's `gate.metric` may name."""


def value(metric: Metric, rows: int) -> float:
    """Return the metric over all rows, each once."""
    return float(metric(np.ones((1, rows), dtype=np.int32))[0])
