"""What is drawn as one in a resample: the rows of a day, which are not independent, or each row by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_CELLS = 2**25
"""Whole numbers, rows x clusters, that may be written out: 128 MiB of them."""


@dataclass(frozen=True)
class Clusters:
    """The rows to judge on, each in one of `count` clusters that are independent of each other."""

    of_row: NDArray[np.intp]
    """Each row's cluster, numbered from 0: (rows,)."""
    count: int

    @classmethod
    def rows(cls, rows: int) -> Clusters:
        """Return each of so many rows as a cluster."""
        return cls(np.arange(rows), rows)

    @classmethod
    def equal(cls, values: NDArray[np.generic]) -> Clusters:
        """Return the rows of equal values, (rows,), as one cluster each."""
        distinct, of_row = np.unique(values, return_inverse=True)
        return cls.rows(len(values)) if len(distinct) == len(values) else cls(of_row, len(distinct))

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
        of few are no twenty-one.
        """
        sizes = np.bincount(self.of_row[rows], minlength=self.count).astype(np.float64)
        return float(sizes.sum() ** 2 / max((sizes**2).sum(), 1.0))

    def sums(self, values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return each cluster's sum of the rows' values: (count,)."""
        if self.single:
            return values.astype(np.float64)
        return np.bincount(self.of_row, values, minlength=self.count).astype(np.float64)

    def table(self, rows: NDArray[np.intp], values: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return each cluster's sum of some rows' values, (rows, columns): (count, columns)."""
        sums = np.zeros((self.count, values.shape[1]))
        of_row = self.of_row[rows]
        by_cluster = np.argsort(of_row, kind="stable")
        held, starts = np.unique(of_row[by_cluster], return_index=True)
        if len(held):
            sums[held] = np.add.reduceat(values[by_cluster], starts, axis=0, dtype=np.int64)
        return sums

    def spread(self, counts: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return how often each row is drawn, (samples, rows), of how often each cluster is, (samples, count)."""
        return counts if self.single else counts.take(self.of_row, axis=1)
