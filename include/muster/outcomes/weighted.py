"""Figures of values that do not all count alike; without weights numpy's own, to the last bit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64] | None
"""How much each row counts, above 0: (rows,); None where all count alike."""


ROUNDING = 1e-12
"""As a share of a sum: what it may lose by rounding."""

LIGHTEST, HEAVIEST = 1e-100, 1e100
"""What a row may count: of more, sums and squares of weights are no numbers any longer."""


def is_weight(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values a row may count by: (rows,)."""
    return (values >= LIGHTEST) & (values <= HEAVIEST)


def mean(values: NDArray[Any], weights: Weights) -> float:
    """Return the mean; of yes and no the share of yes."""
    return float(np.average(values, weights=weights))


def std(values: NDArray[np.float64], weights: Weights) -> float:
    """Return the standard deviation, of the rows as they are: no sample of others."""
    return float(np.std(values)) if weights is None else mean((values - mean(values, weights)) ** 2, weights) ** 0.5


def quantile(
    values: NDArray[np.float64], share: float, weights: Weights, method: Literal["linear", "lower"] = "linear"
) -> float:
    """Return a quantile, of values that have weights the least one that, with all below, has the share of them.

    `method` is numpy's, for values without.
    """
    if weights is None:
        return float(np.quantile(values, share, method=method))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    # Weights of another unit are the same weights: what their sums lose by rounding decides nothing.
    return float(values[order][np.argmax(below >= share * below[-1] * (1 - ROUNDING))])


def median(values: NDArray[np.float64], weights: Weights) -> float:
    """Return the median."""
    return float(np.median(values)) if weights is None else quantile(values, 0.5, weights)


def total(weights: Weights) -> dict[str, float]:
    """Return what is written down of the weights of a group's training rows: nothing where there are none."""
    return {} if weights is None else {"weight": float(weights.sum())}
