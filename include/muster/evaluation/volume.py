"""Points of the space around a group's rows: without labels, how little of it a model calls usual is what tells it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 2000
"""A volume of 5 % is so told to a tenth of itself; all models of a group are asked of the same points."""
MOST_DRAWN = 5
"""Features of a point that are drawn; in a space of many dimensions no sample tells a volume."""


EXTREME = 0.005
"""The share of a feature's values, at either end, that points do not reach."""


def with_points(features: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Return rows, (rows, columns), and below them `POINTS` points of the space that they lie in; none for no rows.

    A point is one of the rows with up to `MOST_DRAWN` features, all where there are no more, drawn anew: evenly between
    the values that hold all but `EXTREME` of the rows at either end. What the row does not know stays unknown. Of many
    features some are drawn at random, as Goix proposes (How to Evaluate the Quality of Unsupervised Anomaly Detection
    Algorithms?, 2016, section 4); he fits models of these features only, which are not the ones to be judged.
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
    """Return what nearly all values of each column lie between: a few extreme ones would leave no point near the rest.

    0 of a column without any value.
    """
    known = np.where(np.isfinite(features), features, np.nan)
    known[:, np.isnan(known).all(axis=0)] = 0.0
    low, high = np.nanquantile(known, [EXTREME, 1 - EXTREME], axis=0)
    return low, high
