"""How far a metric may be off: the metric without each day, or without each part of the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.clusters import Clusters
from muster.evaluation.metric import Metric

Floats = NDArray[np.float64]

PARTS = 50
"""At most so many parts are left out, each once: more clusters than these are dealt out to them."""


def left_out(metric: Metric, parts: NDArray[np.intp]) -> Floats:
    """Return the metric without each part, (number of parts,); `parts`: each cluster's, numbered from 0."""
    count = int(parts.max()) + 1
    counts = (parts[np.newaxis, :] != np.arange(count)[:, np.newaxis]).astype(np.int32)
    return metric(counts)


def variance(without: Floats) -> float:
    """Return the variance of a metric by its values without each part (Efron and Tibshirani 1993, chapter 11).

    A part without which the metric is undefined says nothing; NaN where fewer than two are left.
    """
    known = without[~np.isnan(without)]
    if len(known) < 2:
        return float("nan")
    return float((len(known) - 1) / len(known) * np.sum((known - known.mean()) ** 2))


def parts_of(clusters: Clusters, seed: int) -> NDArray[np.intp]:
    """Return each cluster's part: its own, or where there are many one of `PARTS` that are as large as each other."""
    if clusters.count <= PARTS:
        return np.arange(clusters.count)
    return np.random.Generator(np.random.Philox(key=seed)).permutation(clusters.count) % PARTS
