"""What is known of training labels that do not all count alike: scikit-learn's dummies, fitted with `sample_weight`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from muster.evaluation.metrics import METRICS
from muster.outcomes.kind import Kind
from muster.outcomes.kinds import kind_of
from muster.outcomes.weighted import is_weight, mean, median, quantile, std
from muster.workload.outcome import Outcome
from muster.workload.spec import Gate

RANDOM = np.random.default_rng(0)
NUMBERS, WEIGHTS = np.round(RANDOM.gamma(3, 2, 101), 1) + 0.1, 10 ** RANDOM.uniform(-2, 1, 101)
PLACES = RANDOM.integers(3, size=101).astype(float)
NOTHING = np.zeros((101, 1))


def kind(declared: dict[str, object]) -> Kind:
    return kind_of(Outcome.model_validate(declared))


NUMBER, YES_NO = kind({"regression": {"column": "x"}}), kind({"binary": {"column": "x", "above": 0}})
CLASSES = kind({"classes": {"column": "x", "values": ["a", "b", "c"]}})


def test_mean_median_and_quantile_are_those_of_the_dummy_regressor() -> None:
    known = NUMBER.target(NUMBERS, 0.9, WEIGHTS) or {}
    for name, strategy in (("mean", "mean"), ("median", "median"), ("quantile 0.9", "quantile")):
        dummy = DummyRegressor(strategy=strategy, quantile=0.9 if strategy == "quantile" else None)
        [expected] = dummy.fit(NOTHING, NUMBERS, WEIGHTS).predict(NOTHING[:1])
        assert known[name] == pytest.approx(expected, rel=1e-12)
    assert NUMBER.prior(NUMBERS, WEIGHTS) == known["mean"]
    assert (known["last"], known["weight"]) == (NUMBERS[-1], WEIGHTS.sum())
    spread = np.sqrt(np.average((NUMBERS - known["mean"]) ** 2, weights=WEIGHTS))
    assert NUMBER.described(NUMBERS, WEIGHTS) == {
        "labelled": 101,
        "mean": known["mean"],
        "std": pytest.approx(spread, rel=1e-12),
    }


@pytest.mark.parametrize("metric", ["rmse", "mae", "mape"])
def test_the_constant_of_a_metric_has_the_least_weighted_loss(metric: str) -> None:
    measure, known = METRICS[metric], NUMBER.target(NUMBERS, None, WEIGHTS) or {}
    best = NUMBER.constant(Gate(metric=metric), 0.0, known)  # type: ignore[arg-type]
    losses = [measure.value(NUMBERS, np.full(101, value), WEIGHTS) for value in np.linspace(0, 20, 401)]
    assert measure.value(NUMBERS, np.full(101, best), WEIGHTS) <= min(losses) + 1e-9


def test_shares_are_those_of_the_dummy_classifier() -> None:
    of_yes = DummyClassifier(strategy="prior").fit(NOTHING, PLACES == 1, WEIGHTS).predict_proba(NOTHING[:1])[0]
    assert YES_NO.prior((PLACES == 1).astype(float), WEIGHTS) == pytest.approx(of_yes[1], rel=1e-12)
    shares = DummyClassifier(strategy="prior").fit(NOTHING, PLACES, WEIGHTS).predict_proba(NOTHING[:1])[0]
    target = CLASSES.target(PLACES, None, WEIGHTS) or {}
    np.testing.assert_allclose(CLASSES.constants(0.5, target)["prior"], shares, rtol=1e-12)
    assert target["classes"] == {name: int((place == PLACES).sum()) for place, name in enumerate("abc")}


@pytest.mark.parametrize(
    ("known", "labels"), [(NUMBER, NUMBERS), (YES_NO, (PLACES == 1).astype(float)), (CLASSES, PLACES)]
)
@pytest.mark.parametrize("units", [(1.0, 1.0), (1.0, 1000.0), (None, 1.0), (1.0, None), (None, None)])
def test_what_is_pooled_counts_groups_by_their_rows_and_rows_of_a_group_by_weight_whatever_the_units(
    known: Kind, labels: np.ndarray, units: tuple[float | None, float | None]
) -> None:
    """None: a model of before the weight was declared, whose rows all count alike."""

    def model(rows: slice, unit: float | None) -> dict[str, object]:
        own, weights = labels[rows], None if unit is None else WEIGHTS[rows] * unit
        figures = {"rows": len(own), "positives": known.positives(own), "prior": known.prior(own, weights)}
        target = known.target(own, None, weights)
        return figures | {"target": None if target is None else json.dumps(target)}

    def answer(rows: slice, unit: float | None) -> np.ndarray:
        weights = None if unit is None else WEIGHTS[rows]
        truth = labels[rows, None] == np.arange(3) if known is CLASSES else labels[rows, None]
        return np.average(truth, axis=0, weights=weights)

    halves = [slice(0, 30), slice(30, 101)]
    pooled = known.pooled([model(rows, unit) for rows, unit in zip(halves, units, strict=True)])
    first, second = (answer(rows, unit) for rows, unit in zip(halves, units, strict=True))
    np.testing.assert_allclose(np.atleast_1d(pooled), (30 * first + 71 * second) / 101, rtol=1e-12)


@pytest.mark.parametrize("unit", [0.1, 0.7, 1e-4, 3e7])
def test_quantiles_know_no_unit_of_the_weights(unit: float) -> None:
    values, alike = np.arange(1.0, 11.0), np.ones(10)
    assert median(values, alike * unit) == 5
    for seed in range(200):
        random = np.random.default_rng(seed)
        values, weights = random.normal(size=20), random.integers(1, 9, 20).astype(float)
        assert quantile(values, 0.9, weights * unit) == quantile(values, 0.9, weights)


def test_without_weights_figures_are_numpys_to_the_last_bit() -> None:
    values = RANDOM.normal(size=1000)
    assert (mean(values, None), std(values, None)) == (values.mean(), values.std())
    assert (median(values, None), quantile(values, 0.9, None)) == (np.median(values), np.quantile(values, 0.9))
    assert YES_NO.target(PLACES, None) is None
    assert "weight" not in (NUMBER.target(NUMBERS, None) or {})


def test_a_weight_is_a_number_above_0() -> None:
    values = np.array([1, 1e-100, 1e100, 1e-101, 1e101, 0, -1, np.nan, np.inf])
    assert is_weight(values).tolist() == [True] * 3 + [False] * 6  # sums of squares are numbers still
