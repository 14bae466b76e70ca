"""What answers were worth: variances, calibration and references, beside scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut
from muster.evaluation.metrics import METRICS
from muster.monitoring.jackknife import PARTS, left_out, parts_of, variance
from muster.monitoring.outcome import bias, coverage, measured, slope
from muster.monitoring.reference import expected
from muster.workload.spec import Gate

AUC, MAE = METRICS["roc_auc"], METRICS["mae"]


def test_the_jackknife_of_a_mean_is_its_textbook_variance() -> None:
    errors = np.random.default_rng(0).normal(size=30)
    metric = MAE.prepare(np.zeros(30), np.abs(errors), Clusters.rows(30))
    expected_variance = np.var(np.abs(errors), ddof=1) / 30
    assert variance(left_out(metric, parts_of(Clusters.rows(30), 0))) == pytest.approx(expected_variance, rel=1e-9)


def test_many_clusters_are_dealt_out_evenly() -> None:
    sizes = np.bincount(parts_of(Clusters.rows(1_020), 7))
    assert (len(sizes), sizes.min(), sizes.max()) == (PARTS, 20, 21)


def test_the_variance_of_days_is_that_of_their_means_where_rows_of_a_day_are_alike() -> None:
    days = np.repeat(np.arange(7), 20)
    errors = np.abs(np.random.default_rng(1).normal(size=7))[days]
    of = measured(HeldOut(np.zeros(140), Clusters.equal(days), False), errors, days, 7, MAE, 0)
    assert of.by_cluster == pytest.approx(np.var(errors[::20], ddof=1) / 7, rel=1e-9)
    assert (of.size, of.units) == (20, 7)
    assert of.without_day[3] == pytest.approx(np.delete(errors[::20], 3).mean(), rel=1e-12)


def test_a_day_without_rows_leaves_the_metric_as_it_is() -> None:
    days = np.repeat([0, 1, 2, 4, 5, 6], 20)
    scores = np.random.default_rng(1).random(120)
    of = measured(HeldOut(np.zeros(120), Clusters.equal(days), False), scores, days, 7, MAE, 0)
    assert of.without_day[3] == of.value


def test_the_standard_error_of_an_auc_is_what_its_repetitions_vary_by() -> None:
    random, values, variances = np.random.default_rng(3), [], []
    days = np.repeat(np.arange(7), 30)
    for _ in range(150):
        labels = (random.random(210) < 0.3).astype(float)
        scores = labels + random.normal(size=210)
        of = measured(HeldOut(labels, Clusters.equal(days)), scores, days, 7, AUC, 0)
        values.append(of.value)
        variances.append((of.by_cluster, of.by_row))
    np.testing.assert_allclose(np.mean(variances, axis=0), np.var(values), rtol=0.25)


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_the_calibration_slope_is_that_of_an_unpenalised_logistic_regression(times: float) -> None:
    random = np.random.default_rng(5)
    given = expit(random.normal(-1, 1, 500))
    labels = (random.random(500) < expit(times * logit(given))).astype(float)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(given)[:, np.newaxis], labels)
    assert slope(labels, given, None) == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_labels_that_are_told_apart_wholly_have_no_slope() -> None:
    assert slope(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), None) is None
    assert slope(np.array([0.0, 1, 0, 1]), np.full(4, 0.3), None) is None


def test_bias_is_of_numbers_and_of_the_likeliest_class() -> None:
    assert bias(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.array([3.0, 1.0])) == pytest.approx(1.25)
    each = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert bias(np.array([0.0, 0.0]), each, None) == pytest.approx(0.65 - 0.5)


def test_coverage_is_of_quantiles_alone() -> None:
    labels, answers = np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 3.0)
    assert coverage(labels, answers, None, Gate(metric="pinball", quantile=0.8)) == 0.75
    assert coverage(labels, answers, None, Gate(metric="rmse")) is None


def test_references_of_those_that_were_selected_are_right_on_average() -> None:
    random = np.random.default_rng(8)
    true, spreads = random.normal(0.65, 0.04, 4_000), random.uniform(0.02, 0.06, 4_000)
    seen = true + spreads * random.normal(size=4_000)
    promoted = seen > 0.7
    scores, doubts = expected(seen, spreads, AUC)
    assert (seen - true)[promoted].mean() > 0.02
    assert abs((scores - true)[promoted].mean()) < 0.003
    assert np.std(((scores - true) / doubts)[promoted]) == pytest.approx(1, rel=0.1)
    assert (scores <= seen).all()


def test_references_of_losses_are_never_less_than_they_were_seen_to_be() -> None:
    random = np.random.default_rng(9)
    true = np.exp(random.normal(2, 0.1, 500))
    seen = true * np.exp(random.normal(0, 0.1, 500))
    scores, _ = expected(seen, 0.1 * seen, METRICS["rmse"])
    low = seen < np.quantile(seen, 0.2)
    assert (scores >= seen).all()
    assert abs(np.log(scores / true)[low].mean()) < 0.5 * abs(np.log(seen / true)[low].mean())
