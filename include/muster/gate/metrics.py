"""Metrics of a score vector over many weighted samples at once: prepared once, then given matrices of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int32]
"""How often each row is in each sample: (samples, rows)."""
Values = NDArray[np.float64]
"""A metric's value in each sample, NaN where it is undefined: (samples,)."""
Metric = Callable[[Counts], Values]


def roc_auc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> Metric:
    """Prepare the ROC AUC of finite `scores` (rows,) against `labels` (rows,): sorted once, for any number of samples.

    AUC is the Mann-Whitney U statistic over positives x negatives: the share of pairs of a positive and a negative
    that the scores order rightly, ties counting half. Twice U is summed in integers, so ties are exact. A sample of
    one class only has no AUC: NaN.
    """
    positives = np.flatnonzero(labels)
    negatives = np.flatnonzero(~labels)
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
        auc: Values = np.full(len(counts), np.nan)
        np.divide(twice_u, 2 * pairs, out=auc, where=pairs > 0)
        return auc

    return values


METRICS: Mapping[str, Callable[[NDArray[np.bool_], NDArray[np.float64]], Metric]] = MappingProxyType(
    {"roc_auc": roc_auc}
)
"""Every metric that a workload's `gate.metric` may name; higher is better."""


def value(metric: Metric, rows: int) -> float:
    """Return the metric over all rows, each once."""
    return float(metric(np.ones((1, rows), dtype=np.int32))[0])
