"""The paired bootstrap: several score vectors measured on the very same resamples of days, or of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.clusters import Clusters
from muster.evaluation.metric import Counts, Metric

CHUNK_CELLS = 2**16
"""Numbers worked on at once, resamples x rows or clusters: few enough that they stay in a core's cache.

No result depends on it.
"""


def resample(clusters: int, resamples: int, seed: int, chunk: int) -> Iterator[Counts]:
    """Yield how often each of so many clusters was drawn in each resample, `chunk` resamples at a time.

    Resample b is the b-th call of `Generator(Philox(key=seed)).integers(clusters, size=clusters)`. Philox is
    counter-based (Salmon et al. 2011): the draws hang on the 64-bit `seed` alone, which is the group's own.
    """
    generator = np.random.Generator(np.random.Philox(key=seed))
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        draws = generator.integers(clusters, size=(count, clusters))
        draws += np.arange(0, count * clusters, clusters)[:, np.newaxis]
        counts = np.bincount(draws.ravel(), minlength=count * clusters)
        yield counts.astype(np.int32).reshape(count, clusters)


def paired_bootstrap(
    metrics: Sequence[Metric], clusters: Clusters, resamples: int, seed: int, chunk_cells: int = CHUNK_CELLS
) -> NDArray[np.float64]:
    """Return each metric's value in each resample of the clusters: (metrics, resamples), NaN where undefined.

    All metrics are of the same rows, and measured on the same resamples. Memory is a few times
    `max(chunk_cells, rows)` numbers, whatever the number of resamples.
    """
    chunk = max(1, chunk_cells // max(1, *(metric.cells for metric in metrics)))
    values = [
        np.stack([metric(counts) for metric in metrics]) for counts in resample(clusters.count, resamples, seed, chunk)
    ]
    return np.concatenate(values, axis=1)
