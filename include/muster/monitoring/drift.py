"""Drift of columns against the rows that a model learnt from: counts in bins, and what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov, ndtri, stdtr

from muster.monitoring.moderated import design_effects

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS = 10
"""Of as many of the reference's rows each (Siddiqi, Credit Risk Scorecards, 2006); missing values have one more."""
FEWEST_BLOCKS = 4
"""Stretches of the reference, each as long as the scored days, below which nothing is known of how they differ."""


class Binned(NamedTuple):
    """Rows of a reference and of now, counted by bin: of many columns at once."""

    reference: Counts
    """(blocks, columns, bins): a block is a stretch of days as long as those of now."""
    now: Counts
    """(columns, bins)"""

    def plus(self, other: Binned) -> Binned:
        """Return both together; blocks are the same days of both."""
        return Binned(self.reference + other.reference, self.now + other.now)


def binned(reference: Floats, blocks: NDArray[np.intp], count: int, now: Floats) -> Binned:
    """Count the rows of a reference, (rows, columns), each in one of `count` blocks, and those of now, by bin.

    A bin ends at a quantile of the reference's rows, which it includes. Where many rows have one value, bins between
    equal quantiles stay empty.
    """
    edges = _edges(reference)
    return Binned(_counts(reference, edges, blocks, count), _counts(now, edges, np.zeros(len(now), np.intp), 1)[0])


def _edges(reference: Floats) -> Floats:
    """Return the inner ends of the bins, (BINS - 1, columns): infinite where a column has no value at all."""
    ordered = np.sort(reference, axis=0)  # what is missing last
    known = np.count_nonzero(~np.isnan(reference), axis=0)
    shares = np.arange(1, BINS)[:, np.newaxis] / BINS
    places = np.maximum(np.ceil(shares * known).astype(np.intp) - 1, 0)
    edges = np.take_along_axis(ordered, np.minimum(places, max(len(ordered) - 1, 0)), axis=0)
    return np.where(known > 0, edges, np.inf)


def _counts(values: Floats, edges: Floats, blocks: NDArray[np.intp], count: int) -> Counts:
    rows, columns = values.shape
    places = np.zeros((rows, columns), dtype=np.intp)
    for edge in edges:
        places += values > edge
    places[np.isnan(values)] = BINS
    cells = (blocks[:, np.newaxis] * columns + np.arange(columns)) * (BINS + 1) + places
    size = count * columns * (BINS + 1)
    return np.bincount(cells.ravel(), minlength=size).astype(np.int64).reshape(count, columns, BINS + 1)


class Drift(NamedTuple):
    """What counts say of each column: (columns,) each; NaN where nothing can be said."""

    distance: Floats
    """The largest difference of the cumulative shares: Kolmogorov and Smirnov's, at the ends of the bins."""
    psi: Floats
    """The population stability index, as it is."""
    bins: Floats
    """Bins with any row."""
    effect: Floats
    """By how much cumulative shares of a block vary more than those of as many independent rows."""
    effect_of_bins: Floats
    """The same of the bins' own shares."""
    size: Floats
    """Rows of a block of the reference, as many as tell the same (Kish)."""
    freedom: Floats
    """Blocks less one."""
    rows: Floats
    now: Floats


def compared(counts: Binned) -> Drift:
    """Compare the rows of now with the reference."""
    columns = counts.now.shape[0]
    of_block = counts.reference.sum(axis=2)[:, 0].astype(np.float64) if columns else np.zeros(0)
    there = of_block > 0
    reference, of_block = counts.reference[there].astype(np.float64), of_block[there]
    rows, now = float(of_block.sum()), counts.now.sum(axis=1).astype(np.float64)
    if rows == 0 or len(of_block) < FEWEST_BLOCKS:
        nothing = np.full(columns, np.nan)
        of = dict.fromkeys(Drift._fields, nothing)
        return Drift(**{**of, "rows": np.full(columns, rows), "now": now})
    shares, shares_now = reference.sum(axis=0) / rows, counts.now / np.maximum(now, 1)[:, np.newaxis]
    cumulative = np.cumsum(shares, axis=1)[:, :-1]
    distance = np.abs(cumulative - np.cumsum(shares_now, axis=1)[:, :-1]).max(axis=1)
    expected = of_block[:, np.newaxis, np.newaxis]
    effect = _effect(np.cumsum(reference, axis=2)[:, :, :-1], expected, cumulative, cumulative * (1 - cumulative))
    return Drift(
        distance=distance,
        psi=_psi(reference.sum(axis=0), counts.now),
        bins=np.count_nonzero(reference.sum(axis=0) + counts.now > 0, axis=1).astype(np.float64),
        effect=effect,
        effect_of_bins=_effect(reference, expected, shares, shares * (1 - shares)),
        size=np.full(columns, (of_block**2).sum() / rows),
        freedom=np.full(columns, len(of_block) - 1.0),
        rows=np.full(columns, rows),
        now=now,
    )


def _effect(counts: Floats, of_block: Floats, shares: Floats, variance: Floats) -> Floats:
    """Return the mean design effect of some shares, those of more rows counting for more: at least 1 (Rao and Scott
    1981)."""
    blocks, rows = len(counts), float(of_block.sum())
    own = ((counts - of_block * shares) ** 2).sum(axis=0) * blocks / (blocks - 1) / rows
    total = variance.sum(axis=1)
    effects: Floats = np.maximum(1.0, np.divide(own.sum(axis=1), total, out=np.ones_like(total), where=total > 0))
    return effects


def _psi(reference: Floats, now: Counts) -> Floats:
    """Return the population stability index: the sum of the differences of shares times those of their logarithms.

    An empty bin counts as half a row; one that is empty in both is none.
    """
    used = reference + now > 0
    bins = np.count_nonzero(used, axis=1)[:, np.newaxis]
    then, today = ((counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * bins) for counts in (reference, now))
    psi: Floats = np.where(used, (today - then) * np.log(today / then), 0.0).sum(axis=1)
    return psi


class Tested(NamedTuple):
    """(groups, columns) each."""

    psi: Floats
    """Without what it is expected to be where nothing has changed."""
    p_value: Floats


def assessed(drift: Drift, min_rows: int, *, alone: bool) -> Tested:
    """Test the columns of many groups, (groups, columns) each; `alone`: each group by itself.

    Rows of a block are alike, so they count as fewer: as many as would let independent shares vary as those of the
    reference's blocks do (`moderated.design_effects`, by all groups). Kolmogorov's limit with Stephens' correction
    (1970) for few rows; its tail is that of a Student's t, as the design effect is known from some blocks only.
    The index is expected to be (bins - 1) times (1 / rows + 1 / rows of now), of rows in effect, where nothing has
    changed (Yurdakul 2018).
    """
    able = np.isfinite(drift.effect) & (drift.rows >= min_rows) & (drift.now >= min_rows) & (drift.bins > 1)
    psi, p_values = (np.full(able.shape, np.nan) for _ in range(2))
    for column in range(able.shape[1]):
        known = able[:, column]
        if not known.any():
            continue
        each = Drift(*(values[known, column] for values in drift))
        effect, freedom = each.effect, each.freedom
        if not alone:
            effect, freedom = design_effects(each.effect, np.ones_like(each.effect), each.size, each.freedom)
        p_values[known, column] = _p_values(each, np.maximum(effect, 1), freedom)
        extra = (each.bins - 1) * _inverse_rows(each, np.maximum(each.effect_of_bins, 1))
        psi[known, column] = np.maximum(0.0, each.psi - extra)
    return Tested(psi, p_values)


def _inverse_rows(drift: Drift, effect: Floats) -> Floats:
    """Return 1 / rows + 1 / rows of now, of rows in effect: days of more rows are of a larger effect."""
    of_now = 1 + (effect - 1) * drift.now / drift.size
    return np.asarray(effect / drift.rows + of_now / drift.now)


def _p_values(drift: Drift, effect: Floats, freedom: Floats) -> Floats:
    root = np.sqrt(1 / _inverse_rows(drift, effect))
    limit = kolmogorov((root + 0.12 + 0.11 / root) * drift.distance)
    normal = -ndtri(np.maximum(limit, 1e-300) / 2)
    tail = np.where(np.isinf(freedom), limit, 2 * stdtr(np.where(np.isinf(freedom), 1.0, freedom), -normal))
    return np.asarray(np.minimum(1.0, tail))
