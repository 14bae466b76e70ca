"""One group's fit: each way it can end."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zstandard
from sklearn.linear_model import LogisticRegression

from muster.errors import WorkloadError
from muster.models.scores import scores
from muster.training.estimator import EstimatorFactory, StepFactory
from muster.training.fit import FitPlan, fit_group
from muster.training.outcome import Outcome

PIPELINE = ["sklearn.impute.SimpleImputer", "sklearn.preprocessing.StandardScaler", ":logistic"]

FOREST = ["sklearn.impute.SimpleImputer", {"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 3}}]
TWO = {"forest": FOREST, "regression": PIPELINE}
OUTLIERS = {"sklearn.ensemble.IsolationForest": {"n_estimators": 5}}


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Return 60 rows of two features, and their labels."""
    labels = np.arange(60) % 2.0
    random = np.random.default_rng(1)
    return random.normal(size=(60, 2)) + labels[:, None], labels


class Raising(LogisticRegression):
    """Raises what it was made with."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def fit(self, *_: Any) -> None:
        raise self.error


class Locked(LogisticRegression):
    """Cannot be pickled once it is fitted."""

    def fit(self, features: np.ndarray, labels: np.ndarray) -> None:
        self.cannot = lambda: None


class Undeclared(LogisticRegression):
    """Is of no package that the workload declares."""


def of(plan: FitPlan, make: Callable[..., Any], **params: Any) -> FitPlan:
    return replace(plan, factories=(EstimatorFactory("own", (StepFactory(make, params),)),))


def model_of(outcome: Outcome) -> bytes:
    """Return the bytes of a group's only model."""
    [fit] = outcome.fits
    return fit.model


def test_a_trained_group_has_the_model_that_scikit_learn_fits(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(make_plan(), "a", *data)
    assert (outcome.state, outcome.reason, outcome.error_class) == ("trained", None, None)
    assert (outcome.rows, outcome.positives) == (60, 30)
    model = pickle.loads(zstandard.ZstdDecompressor().decompress(outcome.fits[0].model))
    expected = LogisticRegression(random_state=model.random_state).fit(*data)
    np.testing.assert_array_equal(model.predict_proba(data[0]), expected.predict_proba(data[0]))


def test_too_few_rows_are_skipped(make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    outcome = fit_group(make_plan(), "a", features[:19], labels[:19])
    assert (outcome.state, outcome.reason) == ("skipped", "too few labelled rows")
    assert fit_group(make_plan(), "a", features[:20], labels[:20]).state == "trained"


def test_no_row_at_all_is_too_few(make_plan: Callable[..., FitPlan]) -> None:
    outcome = fit_group(make_plan(), "a", np.empty((0, 2)), np.empty(0))
    assert (outcome.state, outcome.rows) == ("skipped", 0)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_skipped(
    label: float, make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(make_plan(), "a", data[0], np.full(60, label))
    assert (outcome.state, outcome.reason) == ("skipped", "one class only")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_fail_and_name_their_column(
    value: float, make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[0][7, 1] = value
    outcome = fit_group(make_plan(algorithms={"logistic": PIPELINE}), "a", *data)
    assert (outcome.state, outcome.error_class) == ("failed", "InfiniteValues")
    assert outcome.reason == "infinite values in noise"


def test_a_missing_column_fails_and_is_named(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(make_plan(), "a", data[0][:, :1], data[1], missing=["noise"])
    assert (outcome.state, outcome.error_class) == ("failed", "MissingColumn")
    assert "no column noise" in str(outcome.reason)


def test_a_label_that_is_neither_0_nor_1_fails(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[1][3] = 2
    assert fit_group(make_plan(), "a", *data).error_class == "NotALabel"


def test_unknown_values_are_the_estimators_to_handle(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[0][::3, 0] = np.nan
    assert fit_group(make_plan(algorithms={"logistic": PIPELINE}), "a", *data).state == "trained"
    refused = fit_group(make_plan(), "a", *data)
    assert (refused.state, refused.error_class) == ("failed", "ValueError")
    assert "NaN" in str(refused.reason)


def test_a_column_of_unknown_values_only_leaves_a_model_that_scores(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    later = data[0].copy()
    data[0][:, 1] = np.nan
    outcome = fit_group(make_plan(algorithms={"logistic": PIPELINE}), "a", *data)
    model = pickle.loads(zstandard.ZstdDecompressor().decompress(outcome.fits[0].model))
    assert np.isfinite(model.predict_proba(later)).all()


def test_nothing_but_unknown_values_fails_with_a_reason(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(make_plan(algorithms={"logistic": PIPELINE}), "a", np.full_like(data[0], np.nan), data[1])
    assert (outcome.state, outcome.error_class) == ("failed", "ValueError")
    assert "0 feature(s)" in str(outcome.reason)


@pytest.mark.parametrize(
    "error", [ValueError("no"), MemoryError(), RecursionError("deep"), SystemExit(3), GeneratorExit("no")]
)
def test_whatever_the_estimator_raises_is_an_outcome(
    error: BaseException, make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(of(make_plan(), Raising, error=error), "a", *data)
    assert (outcome.state, outcome.error_class, outcome.fits[0].model) == ("failed", type(error).__name__, b"")
    assert outcome.reason


def test_an_interrupt_is_no_outcome(make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_group(of(make_plan(), Raising, error=KeyboardInterrupt()), "a", *data)


def test_a_model_that_cannot_be_pickled_fails(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(of(make_plan(), Locked), "a", *data)
    assert (outcome.state, outcome.fits[0].model) == ("failed", b"")
    assert "pickle" in str(outcome.reason).lower()


def test_every_algorithm_is_fitted_in_order_of_its_name(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    plan = make_plan(algorithms=dict(reversed(TWO.items())))
    outcome = fit_group(plan, "a", *data)
    assert [(fit.algorithm, fit.state) for fit in outcome.fits] == [("forest", "trained"), ("regression", "trained")]
    alone = [fit_group(make_plan(algorithms={name: steps}), "a", *data) for name, steps in TWO.items()]
    assert [fit.model for fit in outcome.fits] == [model_of(one) for one in alone]


def test_an_algorithm_that_fails_leaves_the_group_the_others(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[0][0, 0] = np.nan
    outcome = fit_group(make_plan(algorithms={"forest": FOREST, "bare": "sklearn.svm.SVC"}), "a", *data)
    assert (outcome.state, outcome.reason, outcome.error_class) == ("trained", "bare failed: ValueError", None)
    assert [bool(fit.model) for fit in outcome.fits] == [False, True]


def test_algorithms_of_one_group_have_seeds_of_their_own(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    first, second = fit_group(make_plan(algorithms={"a": FOREST, "b": FOREST}), "a", *data).fits
    assert first.model != second.model


@pytest.mark.parametrize("label", [0.0, np.nan])
def test_an_outlier_detector_needs_no_labels(
    label: float, make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    features, _ = data
    outcome = fit_group(make_plan(algorithms={"outliers": OUTLIERS}), "a", features, np.full(60, label))
    assert (outcome.state, outcome.reason) == ("trained", None)
    assert (outcome.rows, outcome.learnt) == (np.isfinite(label) * 60, 60)


def test_an_outlier_detector_learns_from_all_rows_and_a_classifier_from_the_labelled(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    features, labels = data
    labels[::2] = np.nan
    labels[1::4] = 0
    plan = make_plan(algorithms={"logistic": PIPELINE, "outliers": OUTLIERS})
    outcome = fit_group(plan, "a", features, labels)
    assert (outcome.rows, outcome.learnt, outcome.positives) == (30, 60, 15)
    assert [fit.learnt for fit in outcome.fits] == [30, 60]
    alone = fit_group(make_plan(algorithms={"logistic": PIPELINE}), "a", features[1::2], labels[1::2])
    every = fit_group(make_plan(algorithms={"outliers": OUTLIERS}), "a", features, np.zeros(60))
    assert [fit.model for fit in outcome.fits] == [model_of(alone), model_of(every)]


def test_an_outlier_detector_of_too_few_rows_is_skipped(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(make_plan(algorithms={"outliers": OUTLIERS}), "a", data[0][:19], data[1][:19])
    assert (outcome.state, outcome.reason) == ("skipped", "too few rows")


def test_the_seed_decides_the_model(make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]) -> None:
    forest = make_plan(algorithms={"forest": {"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 3}}})
    assert model_of(fit_group(forest, "a", *data)) == model_of(fit_group(forest, "a", *data))
    assert model_of(fit_group(forest, "a", *data)) != model_of(fit_group(forest, "b", *data))
    assert model_of(fit_group(forest, "a", *data)) != model_of(fit_group(replace(forest, seed=1), "a", *data))


def test_a_model_that_readers_would_refuse_to_load_fails(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    (fit,) = fit_group(of(make_plan(), Undeclared), "a", *data).fits
    assert (fit.state, fit.error_class, fit.model) == ("failed", "Forbidden", b"")
    assert "Undeclared', which is of none of the packages that models may name" in str(fit.reason)
    declared = replace(of(make_plan(), Undeclared), allowed_imports=(__name__.split(".")[0],))
    assert fit_group(declared, "a", *data).state == "trained"


OF_CLASSES = {
    "columns": {"place": "string", "at": "timestamp", "delay": "int?"},
    "outcome": {"classes": {"column": "delay", "values": [10, 20, 30]}},
}


@pytest.mark.parametrize(
    "algorithm", ["sklearn.linear_model.LogisticRegression", {"lightgbm.LGBMClassifier": {"verbose": -1}}]
)
def test_of_classes_those_that_are_there_are_learnt_and_all_are_counted(
    make_plan: Callable[..., FitPlan], data: tuple[np.ndarray, np.ndarray], algorithm: Any
) -> None:
    features, labels = data[0], 2 * data[1]
    labels[::10] = np.nan
    outcome = fit_group(make_plan(algorithms={"one": algorithm}, **OF_CLASSES), "a", features, labels)
    assert (outcome.state, outcome.rows, outcome.positives, outcome.prior) == ("trained", 54, None, None)
    assert json.loads(str(outcome.target)) == {"classes": {"10": 24, "20": 0, "30": 30}}
    model = pickle.loads(zstandard.ZstdDecompressor().decompress(model_of(outcome)))
    assert model.classes_.tolist() == [0, 2]
    assert scores(model, features, "classes of [10, 20, 30]").shape == (60, 3)
    alone = fit_group(make_plan(algorithms={"one": algorithm}, **OF_CLASSES), "a", features, np.full(60, 2.0))
    assert (alone.state, alone.reason) == ("skipped", "one class only")


@pytest.mark.parametrize("algorithm", ["sklearn.linear_model.Ridge", "sklearn.ensemble.IsolationForest"])
def test_of_classes_only_what_gives_probabilities_is_asked(make_plan: Callable[..., FitPlan], algorithm: str) -> None:
    with pytest.raises(WorkloadError, match="gives no scores: it has none of predict_proba"):
        make_plan(algorithms={"one": algorithm}, **OF_CLASSES)
