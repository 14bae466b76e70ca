"""What is drawn as one in a resample: the rows of a day, which are not independent, or each row by itself.

And how much each row counts: whatever is summed over rows is summed here, so metrics know of no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CELLS = 2**25
"""Whole numbers, rows x clusters, that may be written out: 128 MiB of them."""
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

    @property
    def single(self) -> bool:
        """Whether each row is a cluster, numbered as the rows are."""
        return self.count == len(self.of_row)

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
        weighed = self._weighed(values)
        if self.single:
            return weighed.astype(np.float64)
        return np.bincount(self.of_row, weighed, minlength=self.count).astype(np.float64)

    def table(self, rows: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.float64]:
        """Return each cluster's sum of some rows' values, (rows, columns): (count, columns)."""
        sums = np.zeros((self.count, values.shape[1]))
        values = self._weighed(values.T, rows).T
        of_row = self.of_row[rows]
        by_cluster = np.argsort(of_row, kind="stable")
        held, starts = np.unique(of_row[by_cluster], return_index=True)
        if len(held):
            sums[held] = np.add.reduceat(values[by_cluster], starts, axis=0, dtype=np.result_type(values, np.int64))
        return sums

    def first(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Return how many of the first 0, 1, 2, ... of some rows are in each cluster: (rows + 1, count).

        int32, or where rows have weights the sums of these.
        """
        each = self._weighed(np.ones(len(rows), dtype=np.int32), rows)
        table = np.zeros((len(rows) + 1, self.count), dtype=each.dtype)
        table[np.arange(1, len(rows) + 1), self.of_row[rows]] = each
        return np.cumsum(table, axis=0, dtype=table.dtype, out=table)

    def spread(self, counts: NDArray[np.int32], rows: NDArray[np.intp]) -> NDArray[Any]:
        """Return how often each of some rows is drawn, (samples, rows), of how often each cluster is, (samples, count).

        int32, or where rows have weights that number times the row's.
        """
        return self._weighed(counts.take(self.of_row[rows], axis=1), rows)

    def told(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of a metric that only ranks: sums of weights are rounded, so that ties stay ties."""
        return values if self.weights is None else np.round(values, TOLD)

    def _weighed(self, values: NDArray[Any], rows: NDArray[np.intp] | None = None) -> NDArray[Any]:
        """Return values of all or some rows, (rows,) or (any, rows), times the rows' weights."""
        if self.weights is None:
            return values
        return values * (self.weights if rows is None else self.weights[rows])
