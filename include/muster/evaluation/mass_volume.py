"""How much of the space a model has to call usual: what can be measured without a label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.clusters import Clusters
from muster.evaluation.metric import Counts, Labels, Metric, Scores, Values, share
from muster.outcomes.weighted import quantile

USUAL = 0.9
"""The least share of rows that is called usual; all shares above are looked at."""
PASSED = 0.7
"""The share of rows, the most usual first, among which hardly a sample has more than `USUAL` of its own."""


def mass_volume(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the mean mass volume of `scores`, those of points of the space below those of the rows.

    That is the volume which a model has to call usual so that a share of the rows is: the mean over all shares from
    `USUAL` to 1, exactly (the curve: Clemencon and Jakubowicz, Scoring anomalies: a M-estimation formulation, 2013; as
    a criterion: Goix, How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?, 2016). Volumes are
    shares of the points. Less is better. Rows and points of one score pass together, evenly: so what tells nothing
    apart has 0.95, as what ranks at random has. Each point is drawn with one of the clusters: that they are a sample
    too counts as doubt.
    """
    rows = len(clusters.of_row)
    late = _Blocks(clusters, scores[:rows], scores[rows:], PASSED)

    def values(counts: Counts) -> Values:
        volumes, left_out = late.values(counts)
        early = np.flatnonzero(left_out)
        if len(early):
            volumes[early], _ = _Blocks(clusters, scores[:rows], scores[rows:], 0.0).values(counts[early])
        return volumes

    return Metric(values, late.cells if clusters.few else len(scores))


def decisive(scores: Scores, weights: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
    """Tell which rows, by their scores, (rows,), lie beyond the share that is called usual at least: by these alone the
    mass volume of one model differs from another's."""
    return scores >= quantile(scores, USUAL, weights, "lower")


class _Blocks:
    """Rows between the same points, or tied with the same, as one block each, the most usual first.

    Those within the first `passed` share of the rows are left out.
    """

    def __init__(self, clusters: Clusters, of_rows: Scores, of_points: Scores, passed: float) -> None:
        order, by_score = np.argsort(of_rows, kind="stable"), np.argsort(of_points, kind="stable")
        below, up_to = (np.searchsorted(of_points[by_score], of_rows[order], side) for side in ("left", "right"))
        last = np.flatnonzero(np.diff(below + up_to, append=-1))
        first = int(np.searchsorted(last + 1, passed * len(order)))
        stops = np.concatenate([[0] if first == 0 else last[first - 1 : first] + 1, last[first:] + 1])
        few, points = clusters.few, Clusters(by_score % clusters.count, clusters.count)
        self._mass = _drawn_among_first(clusters.only(order), stops, few)
        self._below = _drawn_among_first(points, below[last[first:]], few)
        self._up_to = _drawn_among_first(points, up_to[last[first:]], few)
        self._points = _drawn_among_first(points, np.array([len(of_points)]), few)
        self.cells = len(stops)

    def values(self, counts: Counts) -> tuple[Values, NDArray[np.bool_]]:
        """Return the value in each sample, and of which it is not: more than `USUAL` of their rows are left out."""
        mass, below, up_to = self._mass(counts), self._below(counts), self._up_to(counts)
        start, stop, usual = mass[:, :-1], mass[:, 1:], USUAL * mass[:, -1:]
        begin = np.clip(usual, start, stop)  # of a block that lies on both sides, only what lies above
        at_begin = below + (up_to - below) * share(begin - start, stop - start, empty=0.0)
        volume = np.einsum("sb,sb->s", stop - begin, at_begin + up_to) / 2
        return share(volume, (mass[:, -1:] - usual)[:, 0] * self._points(counts)[:, 0]), mass[:, 0] > usual[:, 0]


def _drawn_among_first(items: Clusters, places: NDArray[np.intp], few: bool) -> Callable[[Counts], Values]:
    """Return what counts, of samples of the clusters, the items drawn among the first so many: (samples, places)."""
    if few:
        table = items.first().take(places, axis=0).T.astype(np.float64)
        return lambda counts: counts @ table

    def values(counts: Counts) -> Values:
        drawn = np.zeros((len(counts), len(items.of_row) + 1))
        np.cumsum(items.spread(counts), axis=1, out=drawn[:, 1:])
        return drawn.take(places, axis=1)

    return values
