"""Metrics of a score vector over many samples of clusters at once: prepared once, then given matrices of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from muster.evaluation.clusters import Clusters
from muster.evaluation.mass_volume import mass_volume
from muster.evaluation.metric import Counts, Labels, Measure, Metric, Scores, Values, share
from muster.workload.spec import Gate


def roc_auc(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the ROC AUC of `scores` against `labels`: sorted once, for any number of samples.

    AUC is the Mann-Whitney U statistic over positives x negatives: the share of pairs of a positive and a negative
    that the scores order rightly, ties counting half. Twice U is summed in whole numbers, so ties are exact. A sample
    of one class only has no AUC: NaN.

    Of several classes it is the mean over those among the rows, each against the rest; a sample without one has none.
    """
    if scores.ndim == 2:
        return _mean_of([roc_auc(labels == place, scores[:, int(place)], clusters) for place in np.unique(labels)])
    sizes = clusters.sums(labels == 1), clusters.sums(labels == 0)
    if (scores == scores[:1]).all():  # of the prior: all pairs are tied
        return Metric(lambda counts: np.where(counts @ sizes[0] * (counts @ sizes[1]) > 0, 0.5, np.nan), clusters.count)
    positives = np.flatnonzero(labels)
    negatives = np.flatnonzero(labels == 0)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    below = np.searchsorted(scores[negatives], scores[positives], side="left")
    up_to = np.searchsorted(scores[negatives], scores[positives], side="right")
    of_positives, of_negatives = clusters.only(positives), clusters.only(negatives)
    if clusters.few:
        ranked = of_negatives.first()
        twice_below = ranked.take(below, axis=0) + ranked.take(up_to, axis=0)
        return _auc_of_pairs(clusters, of_positives.table(twice_below), *sizes)

    def values(counts: Counts) -> Values:
        drawn = of_positives.spread(counts)
        ranked = np.zeros((len(counts), len(negatives) + 1), dtype=drawn.dtype)
        np.cumsum(of_negatives.spread(counts), axis=1, out=ranked[:, 1:])
        twice_below = ranked.take(below, axis=1) + ranked.take(up_to, axis=1)
        exact = np.result_type(drawn, np.int64)
        twice_u = np.einsum("sr,sr->s", drawn, twice_below, dtype=exact)
        pairs = drawn.sum(axis=1, dtype=exact) * ranked[:, -1]
        return clusters.told(share(twice_u, 2 * pairs))

    return Metric(values, len(labels))


def _mean_of(metrics: Sequence[Metric]) -> Metric:
    """Prepare the mean of some metrics; a sample in which one is undefined has none: NaN."""
    most = max((metric.cells for metric in metrics), default=1)
    return Metric(lambda counts: np.mean([metric(counts) for metric in metrics], axis=0), most)


def _auc_of_pairs(
    clusters: Clusters, twice_u: NDArray[np.float64], positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> Metric:
    """Prepare the ROC AUC of the clusters' positives and negatives, (clusters,), and twice the U of each pair of them.

    A sample's U is their sum, weighed by how often either was drawn: without weights whole numbers below 2 ** 53, so
    exact.
    """

    def values(counts: Counts) -> Values:
        drawn = counts.astype(np.float64)
        pairs = (drawn @ positives) * (drawn @ negatives)
        return clusters.told(share(np.einsum("sc,sc->s", drawn @ twice_u, drawn), 2 * pairs))

    return Metric(values, len(twice_u))


def average_precision(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the average precision of `scores` against `labels`: sorted once, for any number of samples.

    The sum over thresholds of the gain in recall times the precision there, without interpolation, as scikit-learn
    defines it; tied scores pass a threshold together. Thresholds without a positive gain no recall and are left out.
    A sample of one class only has none: NaN. (Scikit-learn says 0 without positives and 1 without negatives, whatever
    the scores.)
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], np.asarray(labels[order], dtype=bool)
    hits, in_order = np.flatnonzero(positive), clusters.only(order)
    last = np.flatnonzero(np.diff(ranked[hits], append=np.nan))  # the last positive of each threshold
    passed = np.searchsorted(-ranked, -ranked[hits[last]], side="right") - 1 if len(hits) else hits

    def of_rows(counts: Counts) -> tuple[NDArray[Any], NDArray[Any]]:
        rows = in_order.spread(counts)
        caught = np.cumsum(rows.take(hits, axis=1), axis=1, dtype=rows.dtype).take(last, axis=1)
        return caught, np.cumsum(rows, axis=1, dtype=rows.dtype).take(passed, axis=1)

    if clusters.few:
        caught_of = clusters.only(order[hits]).first().take(last + 1, axis=0).T.astype(np.float64)
        drawn_of = in_order.first().take(passed + 1, axis=0).T.astype(np.float64)

    def values(counts: Counts) -> Values:
        caught, drawn = (counts @ caught_of, counts @ drawn_of) if clusters.few else of_rows(counts)
        precision = share(caught, drawn, empty=0.0)
        gained = np.diff(caught, axis=1, prepend=0)
        of_positives, of_all = counts @ positives, counts @ sizes
        both = (of_positives > 0) & (of_positives < of_all)
        return clusters.told(share(np.einsum("st,st->s", gained, precision), np.where(both, of_positives, 0)))

    positives, sizes = clusters.sums(labels == 1), clusters.sums(np.ones(len(labels)))
    # One multiplication of matrices for many samples pays, though what comes out is more than a cache holds.
    return Metric(values, len(last) // 16 if clusters.few else len(labels))


def log_loss(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the log loss of probabilities `scores`, clipped by one float's rounding error as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    if scores.ndim == 2:
        own = np.take_along_axis(scores, labels.astype(np.intp)[:, np.newaxis], axis=1)[:, 0]
        return _mean(-np.log(np.clip(own, tiny, 1 - tiny)), clusters)
    sure = np.clip(scores, tiny, 1 - tiny)
    return _mean(-(xlogy(labels, sure) + xlogy(1.0 - labels, np.clip(1 - scores, tiny, 1 - tiny))), clusters)


def rmse(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the root of the mean squared error of `scores`."""
    squared = _mean((scores - labels) ** 2, clusters)
    return Metric(lambda counts: np.sqrt(squared(counts)), squared.cells)


def mae(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the mean absolute error of `scores`."""
    return _mean(np.abs(scores - labels), clusters)


def mape(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
    """Prepare the mean absolute error as a share of each label, which must not be near zero."""
    return _mean(np.abs((scores - labels) / np.where(labels == 0, np.nan, labels)), clusters)


def pinball(quantile: float) -> Callable[[Labels, Scores, Clusters], Metric]:
    """Return what prepares the pinball loss of predictions of a quantile (Koenker and Bassett 1978)."""

    def prepare(labels: Labels, scores: Scores, clusters: Clusters) -> Metric:
        short = labels - scores
        return _mean(np.maximum(quantile * short, (quantile - 1) * short), clusters)

    return prepare


def _mean(losses: NDArray[np.float64], clusters: Clusters) -> Metric:
    """Prepare the mean of a loss a row; a sample of no rows has none: NaN."""
    sums, sizes = clusters.sums(losses), clusters.sums(np.ones(len(losses)))
    return Metric(lambda counts: share(counts @ sums, counts @ sizes), clusters.count)


METRICS: Mapping[str, Measure] = MappingProxyType(
    {
        "roc_auc": Measure(roc_auc, higher_is_better=True, of_classes=True, of_ranks=True),
        "average_precision": Measure(average_precision, higher_is_better=True, of_classes=True, of_ranks=True),
        "log_loss": Measure(log_loss, higher_is_better=False, of_classes=True, of_probabilities=True),
        "rmse": Measure(rmse, higher_is_better=False, of_classes=False),
        "mae": Measure(mae, higher_is_better=False, of_classes=False),
        "mape": Measure(mape, higher_is_better=False, of_classes=False, of_shares=True),
        "pinball": Measure(pinball(0.5), higher_is_better=False, of_classes=False),
        # Volumes of fits of one recipe, forests of 100 trees on fx_spread, differ by 4.4 % (docs/benchmarks.md).
        "mass_volume": Measure(mass_volume, higher_is_better=False, of_classes=False, of_volume=True, least_share=0.04),
    }
)
"""Every metric that a workload's `gate.metric` may name; see `measure_of` for the gate's own quantile."""


def measure_of(gate: Gate) -> Measure:
    """Return what a gate judges by."""
    measure = METRICS[gate.metric]
    if gate.least_gain is not None:
        measure = replace(measure, least_gain=gate.least_gain, least_share=0.0)
    return measure if gate.quantile is None else replace(measure, prepare=pinball(gate.quantile))
