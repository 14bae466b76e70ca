"""Variances of many groups, each known from a few days only: drawn towards what all groups have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

Floats = NDArray[np.float64]

SMALLEST = 1e-5
"""As a share of the median variance: what a variance of 0 counts as."""
FEWEST = 10
"""Groups below which a variance stands for itself."""


class Moderated(NamedTuple):
    """Variances, and of how many degrees of freedom each is."""

    variances: Floats
    freedom: Floats


def design_effects(by_day: Floats, by_row: Floats, sizes: Floats, freedom: Floats) -> Moderated:
    """Return by how much each group's variance is larger, because the rows of a day are alike, than of as many
    independent rows; (groups,) each.

    `by_day`, `by_row`: the variance where days are left out, and where rows are; `sizes`: rows of a day; `freedom`: of
    `by_day`. The effect of days of `m` rows is `1 + (m - 1) * rho` (Kish, Survey Sampling, 1965), with one `rho` for
    all groups; what a group's own days say beside that is moderated.
    """
    ratios = by_day / by_row
    expected = 1 + np.maximum(sizes - 1, 0) * _alike(ratios, sizes, freedom)
    moderated = moderate(ratios / expected, freedom)
    return Moderated(moderated.variances * expected, moderated.freedom)


def _alike(ratios: Floats, sizes: Floats, freedom: Floats) -> float:
    """Return how alike the rows of a day are, by all groups together: 0 where days do not matter."""
    apart = float(np.sum(freedom * np.maximum(sizes - 1, 0)))
    return max(0.0, float(np.sum(freedom * (ratios - 1))) / apart) if apart > 0 else 0.0


def moderate(variances: Floats, freedom: Floats) -> Moderated:
    """Return each variance drawn towards that of all, and its degrees of freedom with those that it gains by it.

    An inverse gamma prior, fitted by the moments of the variances' logarithms (Smyth 2004, Linear models and empirical
    Bayes methods, section 6.2): groups that all have about one variance lend each other much, others little.
    """
    if len(variances) < FEWEST or not (median := float(np.median(variances))) > 0:
        return Moderated(variances, freedom)
    known = np.maximum(variances, SMALLEST * median)
    logs = np.log(known) - digamma(freedom / 2) + np.log(freedom / 2)
    spread = float(np.var(logs, ddof=1) - np.mean(polygamma(1, freedom / 2)))
    if spread <= 0:
        return Moderated(np.full_like(known, np.exp(logs.mean())), np.full_like(known, np.inf))
    prior = 2 * _trigamma_inverse(spread)
    common = float(np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2)))
    return Moderated((prior * common + freedom * known) / (prior + freedom), prior + freedom)


def _trigamma_inverse(value: float) -> float:
    """Return x of which the trigamma function is `value`, by Newton's method on its reciprocal (Smyth 2004)."""
    if value > 1e7:
        return float(value**-0.5)
    if value < 1e-6:
        return 1 / value
    root = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, root))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, root))
        root += step
        if -step / root < 1e-10:
            break
    return root


def freedom_of_sum(*parts: tuple[Any, Any]) -> Floats:
    """Return the degrees of freedom of a sum of variances, each (variance, freedom) (Satterthwaite 1946)."""
    total = np.sum([variance for variance, _ in parts], axis=0)
    return np.asarray(total**2 / np.sum([variance**2 / freedom for variance, freedom in parts], axis=0))
