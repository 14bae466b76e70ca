"""ROC AUC over matrices of counts, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from muster.gate.metrics import roc_auc, value

LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1, 1, 0], dtype=bool)


def scores(kind: str, rows: int) -> np.ndarray:
    found = np.random.default_rng(3).normal(size=rows)
    return {"distinct": found, "tied": np.round(found), "constant": np.zeros(rows), "huge": found * 1e300}[kind]


@pytest.mark.parametrize("kind", ["distinct", "tied", "constant", "huge"])
def test_equals_sklearn_weighted_by_the_counts(kind: str) -> None:
    rows = 500
    labels = np.random.default_rng(1).random(rows) < 0.3
    counts = np.random.default_rng(2).poisson(1.0, size=(20, rows)).astype(np.int32)
    found = roc_auc(labels, scores(kind, rows))(counts)
    expected = [roc_auc_score(labels, scores(kind, rows), sample_weight=weights) for weights in counts]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_constant_score_is_exactly_one_half() -> None:
    assert value(roc_auc(LABELS, np.full(10, 0.1)), 10) == 0.5


def test_a_perfect_order_is_exactly_one_and_its_reverse_zero() -> None:
    assert value(roc_auc(LABELS, LABELS.astype(float)), 10) == 1.0
    assert value(roc_auc(LABELS, -LABELS.astype(float)), 10) == 0.0


def test_a_sample_of_one_class_has_no_auc() -> None:
    counts = np.stack([LABELS, ~LABELS, np.ones(10)]).astype(np.int32)
    found = roc_auc(LABELS, np.arange(10.0))(counts)
    assert np.isnan(found).tolist() == [True, True, False]


def test_counts_of_pairs_beyond_32_bits_stay_exact() -> None:
    labels = np.array([True, False])
    counts = np.array([[100_000, 100_000]], dtype=np.int32)
    assert roc_auc(labels, np.array([1.0, 0.0]))(counts)[0] == 1.0
