"""Whether champions are surely worse than when they were judged: each group's, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from muster.monitoring.jackknife import variance
from muster.monitoring.moderated import FEWEST, design_effects, freedom_of_sum

Floats = NDArray[np.float64]

WORSE_BY = 0.1
"""As a share of what a champion was better than chance by: a loss that matters."""
ENOUGH = 50
"""Groups from which on their own spread says how far losses vary."""
QUARTILE = 0.6745
"""Of the standard normal distribution."""
FEWEST_SLICES = 3
"""Earlier slices from which on they say how far a metric varies from one to the next."""
UNTIL_THEN = 2.0
"""How much more slices are taken to vary than their days say: as where each day's effect is half that of the day
before."""


class Losses(NamedTuple):
    """By how much the champions of groups are worse, and what is known of the doubt: (groups,) each."""

    loss: Floats
    """How much worse than the reference, in the metric's unit: negative where better."""
    margin: Floats
    """What of it does not matter."""
    by_cluster: Floats
    by_row: Floats
    size: Floats
    units: Floats
    """See `outcome.Measured`."""
    reference_variance: Floats
    reference_freedom: Floats
    rows: Floats


class History(NamedTuple):
    """The metric of the groups' earlier slices: (groups, slices) each, NaN where it was not judged."""

    values: Floats
    by_row: Floats
    """Its variance if rows were independent."""
    rows: Floats

    @classmethod
    def none(cls, groups: int) -> History:
        """Return that there was none."""
        return cls(*(np.empty((groups, 0)) for _ in cls._fields))


def doubt(losses: Losses, history: History) -> tuple[Floats, Floats]:
    """Return the variance of each loss, and its degrees of freedom.

    What a group's own days say is moderated by all groups. It is no less than the metric varied by from slice to slice,
    which has all of it: days that are alike, days like those before, another model each time. Until there are slices,
    `UNTIL_THEN` stands for these.
    """
    freedom = np.maximum(losses.units - 1, 1)
    by_day = design_effects(losses.by_cluster, losses.by_row, losses.size, freedom)
    by_slice = _by_slice(history, losses.rows)
    effects = by_day.variances * UNTIL_THEN if by_slice is None else np.maximum(by_day.variances, by_slice)
    more = np.divide(effects, by_day.variances, out=np.ones_like(effects), where=by_day.variances > 0)
    now, then = effects * losses.by_row, losses.reference_variance * more
    return now + then, freedom_of_sum((now, by_day.freedom), (then, losses.reference_freedom))


def _by_slice(history: History, rows: Floats) -> Floats | None:
    """Return the design effect of slices, (groups,): groups with some lend it to those with few; None without any."""
    known = np.isfinite(history.values) & (history.by_row > 0)
    able = np.flatnonzero(known.sum(axis=1) >= FEWEST_SLICES)
    if len(able) < FEWEST:
        return None
    count = known[able].sum(axis=1)
    values, by_row, sizes = (np.where(known, each, 0.0)[able] for each in history)
    mean = values.sum(axis=1) / count
    apart = np.where(known[able], (values - mean[:, np.newaxis]) ** 2, 0.0).sum(axis=1) / (count - 1)
    size = sizes.sum(axis=1) / count
    moderated = design_effects(apart, by_row.sum(axis=1) / count, size, count - 1.0).variances
    alike = np.maximum(0.0, np.median((moderated - 1) / np.maximum(size - 1, 1)))
    effects = np.asarray(1 + alike * np.maximum(rows - 1, 0))
    effects[able] = moderated
    return effects


def p_values(losses: Losses, history: History) -> Floats:
    """Return how often chance alone would show a loss so much above its margin: one-sided, (groups,).

    What losses of many groups vary by beyond their doubt they tell themselves (the empirical null of Efron 2004): by
    those that are no worse than the median, so that no number of degraded groups hides another. A spread that is
    smaller than expected is taken for chance.
    """
    if not len(losses.loss):
        return np.empty(0)
    total, freedom = doubt(losses, history)
    error, spread = np.sqrt(total), 1.0
    if len(error) >= ENOUGH:
        quartile, median = np.percentile(losses.loss / error, (25, 50))
        spread = max(1.0, float(median - quartile) / QUARTILE)
    return np.asarray(stdtr(freedom, -(losses.loss - losses.margin) / (error * spread)))


class Each(NamedTuple):
    """What groups had: (groups,) each."""

    values: Floats
    references: Floats
    without_day: Floats
    """The metric without each day: (groups, days)."""


class Together(NamedTuple):
    """The mean of all groups, which count by their rows."""

    value: float
    reference: float
    loss: float
    margin: float
    p_value: float


def together(losses: Losses, each: Each, days_of_reference: int, earlier: Sequence[float]) -> Together:
    """Judge the groups' mean; `earlier`: that mean's losses in earlier slices.

    A day without which it is measured is left out of all groups at once, so what they have in common on a day counts
    once. So it does of the references: their days are as alike as those of now. And it varies by no less than it did
    from slice to slice; until there are some, `UNTIL_THEN` stands for these.
    """
    share = losses.rows / losses.rows.sum()
    loss, margin = float(share @ losses.loss), float(share @ losses.margin)
    days = each.without_day.shape[1]
    now, freedom = UNTIL_THEN * variance(share @ each.without_day), max(days - 1.0, 1.0)
    if len(earlier) >= FEWEST_SLICES:
        between = float(np.var(earlier, ddof=1))
        now = now / UNTIL_THEN
        now, freedom = max(between, now), freedom + len(earlier) - 1
    then = max(float(share**2 @ losses.reference_variance), now * days / days_of_reference)
    p_value = float("nan")
    if now > 0:
        together_freedom = freedom_of_sum((now, freedom), (then, max(days_of_reference - 1, 1)))
        p_value = float(stdtr(together_freedom, -(loss - margin) / np.sqrt(now + then)))
    return Together(float(share @ each.values), float(share @ each.references), loss, margin, p_value)
