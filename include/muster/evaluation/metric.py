"""What a metric is to the gate: prepared once, then given matrices of how often each cluster of rows was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.clusters import Clusters

Labels = NDArray[np.bool_] | NDArray[np.float64]
"""A row each: 0 and 1, or the places of classes, or for the metrics of errors any finite numbers: (rows,)."""
Scores = NDArray[np.float64]
"""A finite score a row, (rows,); of several classes a probability each, (rows, classes)."""
Counts = NDArray[np.int32]
"""How often each cluster of rows is in each sample: (samples, clusters)."""
Values = NDArray[np.float64]
"""A metric's value in each sample, NaN where it is undefined: (samples,)."""


ROUNDING = 1e-9
"""As a share of a value: what the same sum or fit, computed in another order, may differ by."""


@dataclass(frozen=True)
class Metric:
    """A metric of given labels and scores, prepared for any number of samples."""

    values: Callable[[Counts], Values]
    cells: int
    """Numbers that one sample takes."""

    def __call__(self, counts: Counts) -> Values:
        """Return the value in each sample."""
        return self.values(counts)


@dataclass(frozen=True)
class Measure:
    """A metric that a workload may name, and how the gate has to treat it."""

    prepare: Callable[[Labels, Scores, Clusters], Metric]
    higher_is_better: bool
    of_classes: bool
    """It is about positives and negatives, so both must be there to judge on; else only rows are counted."""
    of_ranks: bool = False
    """It ranks the rows of a class among the others."""
    of_probabilities: bool = False
    """Scores outside 0 to 1 have no value."""
    of_shares: bool = False
    """Errors are shares of the labels: near zero they mean nothing."""
    of_volume: bool = False
    """It needs no labels, but the scores of points of the space too, below those of the rows: `volume.with_points`."""
    least_gain: float = 0.0
    """How much better than a champion is better."""
    least_share: float = 0.0
    """The same as a share of the champion's value. Each fit of one recipe is truly a little better or worse than the
    next: this is for metrics that tell so from few rows."""

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that more is better."""
        return 1 if self.higher_is_better else -1

    def better(self, value: float | None, than: float | None) -> bool:
        """Tell whether a value is better than another, by more than rounding; one that is None cannot be compared."""
        if value is None or than is None:
            return False
        return self.sign * (value - than) > ROUNDING * max(abs(value), abs(than))

    def value(self, labels: Labels, scores: Scores, weights: NDArray[np.float64] | None = None) -> float:
        """Return the metric over all rows, each once, or by its weight."""
        one = Clusters.rows(len(labels), weights)
        return float(self.prepare(labels, scores, one)(np.ones((1, one.count), dtype=np.int32))[0])


def share(part: NDArray[Any], whole: NDArray[Any], empty: float = np.nan) -> Values:
    """Return `part / whole`, and `empty` where the whole is 0."""
    shares: Values = np.full(whole.shape, empty)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
