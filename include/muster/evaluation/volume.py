"""Points of the space around a group's rows: without labels, how little of it a model calls usual is what tells it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 2000
"""A volume of 5 % is so told to a tenth of itself; all models of a group are asked of the same points."""
MOST_DRAWN = 5
"""Features of a point that are drawn; in a space of many dimensions no sample tells a volume."""


def with_points(features: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Return rows, (rows, columns), and below them `POINTS` points of the space that they lie in; none for no rows.

    A point is one of the rows with up to `MOST_DRAWN` features, all where there are no more, drawn anew: evenly between
    the least and the largest value that any row has. What the row does not know stays unknown. Of many features some
    are drawn at random, as Goix proposes (How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?,
    2016, section 4); he fits models of these features only, which are not the ones to be judged.
    """
    rows, columns = features.shape
    if rows == 0:
        return features
    generator = np.random.Generator(np.random.Philox(key=seed))
    points = features[generator.integers(rows, size=POINTS)]
    drawn = generator.random((POINTS, columns)).argsort(axis=1).argsort(axis=1) < MOST_DRAWN
    low, high = _range(features)
    anew = low + (high - low) * generator.random((POINTS, columns))
    return np.vstack([features, np.where(drawn & np.isfinite(points), anew, points)])


def _range(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's least and largest finite value; 0 of a column without any."""
    finite = np.isfinite(features)
    low = np.where(finite, features, np.inf).min(axis=0)
    high = np.where(finite, features, -np.inf).max(axis=0)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
