"""The paired bootstrap: several score vectors measured on the very same resamples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.metrics import Counts, Metric

CHUNK_CELLS = 2**16
"""Resamples x rows counted at once: few enough that their matrices stay in a core's cache. No result depends on it."""


def resample(rows: int, resamples: int, seed: int, chunk_cells: int = CHUNK_CELLS) -> Iterator[Counts]:
    """Yield how often each of `rows` rows was drawn in each resample, some (resamples, rows) at a time.

    Resample b is the b-th call of `Generator(Philox(key=seed)).integers(rows, size=rows)`. Philox is counter-based
    (Salmon et al. 2011): the draws hang on the 64-bit `seed` alone, which is the group's own. Memory is a few times
    `max(chunk_cells, rows)` numbers, whatever the number of resamples.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    size = max(1, chunk_cells // max(1, rows))
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        draws = generator.integers(rows, size=(count, rows))
        draws += np.arange(0, count * rows, rows)[:, np.newaxis]
        counts = np.bincount(draws.ravel(), minlength=count * rows)
        yield counts.astype(np.int32).reshape(count, rows)


def paired_bootstrap(
    metrics: Sequence[Metric], rows: int, resamples: int, seed: int, chunk_cells: int = CHUNK_CELLS
) -> NDArray[np.float64]:
    """Return each metric's value in each resample, all on the same ones: (metrics, resamples), NaN where undefined."""
    values = [
        np.stack([metric(counts) for metric in metrics]) for counts in resample(rows, resamples, seed, chunk_cells)
    ]
    return np.concatenate(values, axis=1)
