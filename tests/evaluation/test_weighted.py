"""Rows that do not all count alike: every metric as scikit-learn has it with `sample_weight`, whatever is drawn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sklearn

from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Rival
from muster.evaluation.metrics import METRICS, pinball
from muster.evaluation.verdict import judge
from muster.workload.spec import Gate, Workload
from tests.evaluation.conftest import RANKS, SKLEARN, WORKLOAD

POINTS = 300
EXPECTED: dict[str, Callable[..., float]] = {
    **SKLEARN,
    "mape": sklearn.mean_absolute_percentage_error,
    "pinball": lambda labels, scores, **weight: sklearn.mean_pinball_loss(labels, scores, alpha=0.5, **weight),
}
CLUSTERS = [("row", 60), ("row", 400), ("day", 7), ("day", 150), ("column", 40)]
"""What is drawn: each row, days in order, or the values of a column in no order with gaps."""


def drawn(what: str, count: int, rows: int, weights: np.ndarray | None) -> Clusters:
    """Return clusters of so many rows."""
    if what == "row":
        return Clusters.rows(rows, weights)
    place = np.arange(rows) * count // rows if what == "day" else np.random.default_rng(5).permutation(rows) % count * 3
    return Clusters.equal(place, weights)


def made(rows: int, metric: str, digits: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores with ties, and weights over three orders of magnitude."""
    random = np.random.default_rng(rows)
    labels = (random.random(rows) < 0.3).astype(float)
    scores = np.round(np.clip(random.random(rows) * 0.8 + 0.2 * labels, 0, 1), digits)
    if metric in ("mape", "pinball"):
        labels, scores = labels + random.random(rows) + 0.5, scores * 3
    return labels, scores, 10 ** random.uniform(-2, 1, rows)


@pytest.mark.parametrize(("what", "count"), CLUSTERS)
@pytest.mark.parametrize("metric", EXPECTED)
def test_on_every_resample_the_metric_is_sklearns_with_sample_weight(metric: str, what: str, count: int) -> None:
    rows = count if what == "row" else 400
    labels, scores, weights = made(rows, metric)
    clusters = drawn(what, count, rows, weights)
    actual = paired_bootstrap([METRICS[metric].prepare(labels, scores, clusters)], clusters, 12, seed=11)[0]
    generator = np.random.Generator(np.random.Philox(key=11))
    for value in actual:
        times = np.bincount(generator.integers(clusters.count, size=clusters.count), minlength=clusters.count)
        taken = np.repeat(np.arange(rows), times[clusters.of_row])
        if metric in RANKS and len(np.unique(labels[taken])) < 2:
            assert np.isnan(value)
        else:
            expected = EXPECTED[metric](labels[taken], scores[taken], sample_weight=weights[taken])
            assert value == pytest.approx(expected, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("metric", EXPECTED)
def test_over_all_rows_once_the_value_is_sklearns(metric: str) -> None:
    labels, scores, weights = made(200, metric)
    expected = EXPECTED[metric](labels, scores, sample_weight=weights)
    assert METRICS[metric].value(labels, scores, weights) == pytest.approx(expected, abs=1e-11)
    assert METRICS[metric].value(labels, scores, 1e-9 * weights) == pytest.approx(expected, abs=1e-11)


def test_pinball_of_a_quantile_is_sklearns() -> None:
    labels, scores, weights = made(200, "pinball")
    clusters = Clusters.rows(200, weights)
    actual = pinball(0.9)(labels, scores, clusters)(np.ones((1, 200), dtype=np.int32))[0]
    assert actual == pytest.approx(sklearn.mean_pinball_loss(labels, scores, alpha=0.9, sample_weight=weights))


@pytest.mark.parametrize("count", [7, 150])
@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_of_several_classes_the_metric_is_sklearns(metric: str, count: int) -> None:
    random = np.random.default_rng(2)
    labels, weights = (random.integers(3, size=300)).astype(float), 10 ** random.uniform(-2, 1, 300)
    scores = random.dirichlet([1, 1, 1], size=300)
    clusters = Clusters.equal(np.arange(300) % count, weights)
    actual = METRICS[metric].prepare(labels, scores, clusters)(np.ones((1, clusters.count), dtype=np.int32))[0]
    if metric == "log_loss":
        expected = sklearn.log_loss(labels, scores, sample_weight=weights)
    else:
        each = [sklearn.roc_auc_score(labels == place, scores[:, place], sample_weight=weights) for place in range(3)]
        expected = np.mean(each)
    assert actual == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("count", [7, 150, 400])
@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_of_k_is_the_row_k_times_within_its_cluster(metric: str, count: int) -> None:
    labels, scores, _ = made(400, metric)
    times = np.random.default_rng(3).integers(1, 5, size=400)
    of_row = np.arange(400) if count == 400 else np.random.default_rng(4).permutation(400) % count
    points = np.random.default_rng(5).random(POINTS) if metric == "mass_volume" else np.empty(0)
    weighted = Clusters.equal(of_row, times.astype(float))
    repeated = Clusters.equal(np.repeat(of_row, times))
    values = [
        paired_bootstrap([METRICS[metric].prepare(of, np.append(by, points), clusters)], clusters, 40, seed=1)[0]
        for of, by, clusters in (
            (labels, scores, weighted),
            (np.repeat(labels, times), np.repeat(scores, times), repeated),
        )
    ]
    np.testing.assert_allclose(*values, rtol=1e-10, atol=1e-11)
    effective = weighted.effective(labels < 1), repeated.effective(np.repeat(labels, times) < 1)
    assert effective[0] == pytest.approx(effective[1])


def test_units_are_kishs_by_the_sums_of_weights() -> None:
    """By hand: of two days of ten rows one counts nine times as much: 100 ** 2 / (90 ** 2 + 10 ** 2) days."""
    weights = np.repeat([9.0, 1.0], 10)
    clusters = Clusters.equal(np.repeat([0, 1], 10), weights)
    assert clusters.effective(np.ones(20, dtype=bool)) == pytest.approx(10_000 / 8_200)
    assert Clusters.equal(np.repeat([0, 1], 10), 1e-6 * weights).effective(weights > 0) == pytest.approx(10_000 / 8_200)
    assert clusters.effective(np.zeros(20, dtype=bool)) == 0


def test_of_a_volume_what_decides_are_the_rows_beyond_the_usual_share_of_the_weight() -> None:
    """By hand: the tenth day is as heavy as all others, so all but that day hardly tell anything."""
    volume, day = METRICS["mass_volume"], np.repeat(np.arange(10), 10)
    scores = np.append(np.tile(np.arange(10.0), 10), np.zeros(POINTS))
    alike = HeldOut(np.full(100, np.nan), Clusters.equal(day), of_classes=False)
    weights = np.where(day == 9, 900.0, 1.0)
    heavy = HeldOut(np.full(100, np.nan), Clusters.equal(day, weights), of_classes=False)
    assert alike.units(volume, scores) == 10
    assert heavy.units(volume, scores) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("count", [7, 150])
@pytest.mark.parametrize("metric", RANKS)
def test_equal_ranks_are_ties_though_sums_of_weights_round(metric: str, count: int) -> None:
    """Negatives in another order below all positives: their weights add up in another order, and nothing is gained."""
    labels, _, weights = made(400, metric)
    random = np.random.default_rng(6)
    first, second = (np.where(labels == 1, 2 + 0 * labels, random.random(400)) for _ in range(2))
    clusters = Clusters.equal(np.arange(400) % count, weights)
    prepared = [METRICS[metric].prepare(labels, of, clusters) for of in (first, second)]
    values = paired_bootstrap(prepared, clusters, 200, seed=1)
    np.testing.assert_array_equal(*values)


def test_who_is_right_where_it_counts_is_promoted() -> None:
    """Two models, each right on half of the rows of every day: the one is better that is right where rows weigh."""
    day, right = np.repeat(np.arange(20), 20), np.tile([True, False], 200)
    labels = np.random.default_rng(1).random(400)
    first, second = np.where(right, labels, labels + 1), np.where(right, labels + 1, labels)
    gate = Gate(metric="mae", resamples=200)
    for weights, verdict in ((np.where(right, 5.0, 1.0), "promote"), (np.where(right, 1.0, 5.0), "reject")):
        rows = HeldOut(labels, Clusters.equal(day, weights), of_classes=False)
        judgement = judge(rows, {"a": first}, Rival("champion", second, 10.0), gate, 1)
        assert (judgement.verdict, judgement.rows) == (verdict, 400)


def test_champion_candidate_and_baseline_are_judged_by_the_weights_that_features_carry(bucket: Any) -> None:
    columns = {**WORKLOAD["columns"], "fares": "float"}
    bucket.workload = Workload.model_validate({**WORKLOAD, "columns": columns, "weight": "fares"})
    bucket.add("m", bucket.model(1.0), champion=bucket.model(-1.0))
    rows = bucket.rows["m"]
    weights = 10 ** np.random.default_rng(0).uniform(-2, 1, 120)
    place = rows.schema.get_field_index("sample_weight")
    bucket.rows["m"] = rows.set_column(place, "sample_weight", pa.array(weights))
    decision = bucket.judge()["m"]
    labels, signal, known = (rows[name].to_numpy() for name in ("label", "signal", "known"))
    scores = {"candidate_score": signal, "champion_score": -signal, "baseline_score": known}
    for name, by in scores.items():
        assert decision[name] == pytest.approx(sklearn.roc_auc_score(labels, by, sample_weight=weights), abs=1e-11)
    assert (decision["rows"], decision["positives"], rows["date"][0].as_py()) == (120, 50, date(2024, 1, 30))
