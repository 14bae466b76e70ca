"""Resamples: the same as a plain loop's, for every model, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from muster.evaluation.bootstrap import paired_bootstrap, resample
from muster.evaluation.clusters import Clusters
from muster.evaluation.metrics import roc_auc


def loop(labels: np.ndarray, scores: np.ndarray, resamples: int, seed: int) -> list[float]:
    """ROC AUC by scikit-learn in a loop over the documented resamples."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    values = []
    for _ in range(resamples):
        drawn = generator.integers(len(labels), size=len(labels))
        both = len(np.unique(labels[drawn])) == 2
        values.append(roc_auc_score(labels[drawn], scores[drawn]) if both else np.nan)
    return values


@pytest.mark.parametrize(("rows", "digits"), [(30, 9), (300, 9), (300, 1), (300, 0)])
def test_equals_a_loop_over_sklearn_on_the_same_resamples(rows: int, digits: int) -> None:
    random = np.random.default_rng(rows)
    labels = random.random(rows) < 0.2
    first, second = np.round(random.random((2, rows)) + 0.2 * labels, digits)
    each = Clusters.rows(rows)
    actual = paired_bootstrap([roc_auc(labels, first, each), roc_auc(labels, second, each)], each, 200, seed=11)
    expected = [loop(labels, scores, 200, seed=11) for scores in (first, second)]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_resamples_of_one_class_are_undefined_for_every_model_alike() -> None:
    labels = np.array([True] + [False] * 9)
    each = Clusters.rows(10)
    metrics = [roc_auc(labels, np.arange(10.0), each), roc_auc(labels, -np.arange(10.0), each)]
    values = paired_bootstrap(metrics, each, 500, seed=0)
    undefined = np.isnan(values)
    assert 0 < undefined[0].sum() < 500
    np.testing.assert_array_equal(undefined[0], undefined[1])
    np.testing.assert_array_equal(undefined[0], np.isnan(loop(labels, np.arange(10.0), 500, seed=0)))


def test_two_models_are_measured_on_the_same_resamples() -> None:
    labels = np.random.default_rng(0).random(100) < 0.4
    scores = np.random.default_rng(1).random(100)
    each = Clusters.rows(100)
    metrics = [roc_auc(labels, scores, each), roc_auc(labels, 2 * scores, each)]
    first, second = paired_bootstrap(metrics, each, 300, seed=5)
    np.testing.assert_array_equal(first, second)
    assert np.std(first) > 0


@pytest.mark.parametrize("chunk", [1, 3, 49, 10**6])
def test_the_resamples_do_not_depend_on_the_chunks(chunk: int) -> None:
    expected = np.concatenate(list(resample(101, 50, seed=9, chunk=50)))
    np.testing.assert_array_equal(np.concatenate(list(resample(101, 50, 9, chunk))), expected)


def test_every_resample_draws_as_many_clusters_as_there_are() -> None:
    counts = np.concatenate(list(resample(37, 64, seed=2**64 - 1, chunk=10)))
    assert counts.shape == (64, 37)
    assert (counts.sum(axis=1) == 37).all()
