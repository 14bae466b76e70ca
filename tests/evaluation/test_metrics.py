"""Every metric over matrices of counts, against scikit-learn."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
from sklearn import metrics as sklearn

from muster.evaluation.clusters import Clusters
from muster.evaluation.metrics import METRICS, measure_of, roc_auc
from muster.workload.spec import Gate
from tests.evaluation.conftest import RANKS, SKLEARN

LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1, 1, 0], dtype=bool)


def scores(kind: str, labels: np.ndarray) -> np.ndarray:
    values = np.clip(np.random.default_rng(3).random(len(labels)) * 0.8 + 0.2 * labels, 0, 1)
    return {
        "distinct": values,
        "tied": np.round(values, 1),
        "certain": np.round(values),
        "constant": 0 * values + 0.25,
    }[kind]


def by_sklearn(metric: str, labels: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> list[float]:
    """Measure sample after sample; NaN by the written rule: no rows, or one class where a metric ranks classes."""
    values = []
    for weights in counts:
        classes = len(np.unique(labels[weights > 0]))
        defined = classes == 2 if metric in RANKS else classes > 0
        values.append(SKLEARN[metric](labels, predicted, sample_weight=weights) if defined else np.nan)
    return values


@pytest.mark.parametrize("kind", ["distinct", "tied", "certain", "constant"])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 40, 500])
@pytest.mark.parametrize("metric", SKLEARN)
def test_equals_sklearn_weighted_by_the_counts(metric: str, rows: int, kind: str) -> None:
    labels = np.random.default_rng(1).random(rows) < 0.3
    counts = np.random.default_rng(2).poisson(1.0, size=(20, rows)).astype(np.int32)
    actual = METRICS[metric].prepare(labels, scores(kind, labels), Clusters.rows(rows))(counts)
    np.testing.assert_allclose(actual, by_sklearn(metric, labels, scores(kind, labels), counts), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", SKLEARN)
@pytest.mark.parametrize("positive", [False, True])
def test_one_class_only_is_undefined_for_those_that_rank(metric: str, positive: bool) -> None:
    labels, counts = np.full(7, positive), np.ones((2, 7), dtype=np.int32)
    actual = METRICS[metric].prepare(labels, scores("tied", labels), Clusters.rows(7))(counts)
    assert np.isnan(actual).tolist() == [metric in RANKS] * 2
    np.testing.assert_allclose(actual, by_sklearn(metric, labels, scores("tied", labels), counts), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("gate", "by"),
    [
        (Gate(metric="mape"), sklearn.mean_absolute_percentage_error),
        (Gate(metric="pinball", quantile=0.9), partial(sklearn.mean_pinball_loss, alpha=0.9)),
        (Gate(metric="pinball", quantile=0.2), partial(sklearn.mean_pinball_loss, alpha=0.2)),
    ],
)
def test_losses_of_numbers_equal_sklearns(gate: Gate, by: Any) -> None:
    labels, predicted = np.random.default_rng(5).normal(50, 10, size=(2, 200))
    counts = np.random.default_rng(2).poisson(1.0, size=(20, 200)).astype(np.int32)
    expected = [by(labels, predicted, sample_weight=weights) for weights in counts]
    actual = measure_of(gate).prepare(labels, predicted, Clusters.rows(200))(counts)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_errors_are_of_labels_of_any_size(metric: str) -> None:
    labels, predicted = np.random.default_rng(5).normal(50, 20, size=(2, 200))
    counts = np.random.default_rng(2).poisson(1.0, size=(20, 200)).astype(np.int32)
    expected = [SKLEARN[metric](labels, predicted, sample_weight=weights) for weights in counts]
    np.testing.assert_allclose(
        METRICS[metric].prepare(labels, predicted, Clusters.rows(200))(counts), expected, rtol=1e-13
    )


@pytest.mark.parametrize("metric", RANKS)
def test_scores_that_rank_need_no_range(metric: str) -> None:
    huge = np.random.default_rng(3).normal(size=10) * 1e300
    counts = np.ones((1, 10), dtype=np.int32)
    expected = SKLEARN[metric](LABELS, huge)
    assert METRICS[metric].prepare(LABELS, huge, Clusters.rows(10))(counts)[0] == pytest.approx(expected, abs=1e-12)


def test_a_constant_score_is_exactly_one_half() -> None:
    assert METRICS["roc_auc"].value(LABELS, np.full(10, 0.1)) == 0.5


def test_a_perfect_order_is_exactly_one_and_its_reverse_zero() -> None:
    assert METRICS["roc_auc"].value(LABELS, LABELS.astype(float)) == 1.0
    assert METRICS["roc_auc"].value(LABELS, -LABELS.astype(float)) == 0.0


def test_counts_of_pairs_beyond_32_bits_stay_exact() -> None:
    labels = np.array([True, False])
    counts = np.array([[100_000, 100_000]], dtype=np.int32)
    assert roc_auc(labels, np.array([1.0, 0.0]), Clusters.rows(2))(counts)[0] == 1.0


def test_a_workload_may_name_every_metric_and_no_other() -> None:
    field: Any = Gate.model_fields["metric"].annotation
    assert list(get_args(field)) == list(METRICS)


def test_better_is_more_than_what_rounding_makes_of_the_same_numbers() -> None:
    rmse, auc = METRICS["rmse"], METRICS["roc_auc"]
    assert rmse.better(0.1 + 0.2, 0.3 + 1e-6)
    assert not rmse.better(0.3, 0.1 + 0.2)
    assert auc.better(0.6, 0.5)
    assert not auc.better(0.5, 0.6)
    assert not auc.better(None, 0.5)
