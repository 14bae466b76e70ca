"""What is drawn as one in a resample: the rows of a day, which are not independent, or each row by itself.

And how much each row counts: whatever is summed over rows is summed here, so metrics know of no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CELLS = 2**25
"""Numbers, rows x clusters, that may be written out: 128 MiB of whole ones, twice that of sums of weights."""
TOLD = 12
"""Decimals of a share that sums of weights tell: far fewer than they have, far more than a gain needs."""


@dataclass(frozen=True)
class Clusters:
    """The rows to judge on, each in one of `count` clusters that are independent of each other."""

    of_row: NDArray[np.intp]
    """Each row's cluster, numbered from 0: (rows,)."""
    count: int
    weights: NDArray[np.float64] | None = None
    """How much each row counts, above 0: (rows,); None where all count alike, and sums are whole numbers."""

    @classmethod
    def rows(cls, rows: int, weights: NDArray[np.float64] | None = None) -> Clusters:
        """Return each of so many rows as a cluster."""
        return cls(np.arange(rows), rows, weights)

    @classmethod
    def equal(cls, values: NDArray[np.generic], weights: NDArray[np.float64] | None = None) -> Clusters:
        """Return the rows of equal values, (rows,), as one cluster each."""
        distinct, of_row = np.unique(values, return_inverse=True)
        if len(distinct) == len(values):
            return cls.rows(len(values), weights)
        return cls(of_row, len(distinct), weights)

    def only(self, rows: NDArray[np.intp]) -> Clusters:
        """Return some of the rows, in this order, in the same clusters."""
        return Clusters(self.of_row[rows], self.count, None if self.weights is None else self.weights[rows])

    @property
    def few(self) -> bool:
        """Whether to reckon with clusters is quicker than to reckon with their rows."""
        rows = len(self.of_row)
        return self.count**2 <= 20 * rows and self.count * rows <= MAX_CELLS

    def effective(self, rows: NDArray[np.bool_]) -> float:
        """Return how many clusters of one size would tell as much as those of these rows, (rows,) bool.

        `(sum of sizes) ** 2 / sum of (sizes ** 2)` (Kish, Survey Sampling, 1965): one day of half the rows and twenty
        of few are no twenty-one. A size is the sum of the rows' weights.
        """
        sizes = self.sums(rows)
        return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0

    def sums(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return each cluster's sum of the rows' values: (count,)."""
        return np.bincount(self.of_row, self._weighed(values), minlength=self.count).astype(np.float64)

    def table(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return each cluster's sum of the rows' values, (rows, columns): (count, columns)."""
        sums = np.zeros((self.count, values.shape[1]))
        values = self._weighed(values.T).T
        by_cluster = np.argsort(self.of_row, kind="stable")
        held, starts = np.unique(self.of_row[by_cluster], return_index=True)
        if len(held):
            sums[held] = np.add.reduceat(values[by_cluster], starts, axis=0, dtype=np.result_type(values, np.int64))
        return sums

    def first(self) -> NDArray[Any]:
        """Return how many of the first 0, 1, 2, ... rows are in each cluster: (rows + 1, count).

        int32, or where rows have weights the sums of these.
        """
        rows = len(self.of_row)
        each = self._weighed(np.ones(rows, dtype=np.int32))
        table = np.zeros((rows + 1, self.count), dtype=each.dtype)
        table[np.arange(1, rows + 1), self.of_row] = each
        return np.cumsum(table, axis=0, dtype=table.dtype, out=table)

    def spread(self, counts: NDArray[np.int32]) -> NDArray[Any]:
        """Return how often each row is drawn, (samples, rows), of how often each cluster is, (samples, count).

        int32, or where rows have weights that number times the row's.
        """
        return self._weighed(counts.take(self.of_row, axis=1))

    def told(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of a metric that only ranks: sums of weights are rounded, so that ties stay ties."""
        return values if self.weights is None else np.round(values, TOLD)

    def _weighed(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of the rows, (rows,) or (any, rows), times the rows' weights."""
        return values if self.weights is None else values * self.weights
