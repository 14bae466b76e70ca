"""One group's fit: each way it can end."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zstandard
from sklearn.linear_model import LogisticRegression

from muster.training.estimator import Recipe, StepMaker
from muster.training.fit import LONGEST_REASON, Plan, fit_group, reason_of

PIPELINE = ["sklearn.impute.SimpleImputer", "sklearn.preprocessing.StandardScaler", ":logistic"]


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


def of(plan: Plan, make: Callable[..., Any], **params: Any) -> Plan:
    return replace(plan, recipe=Recipe((StepMaker(make, params),)))


def test_a_trained_group_has_the_model_that_scikit_learn_fits(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(planned(), "a", *data)
    assert (outcome.state, outcome.reason, outcome.error_class) == ("trained", None, None)
    assert (outcome.rows, outcome.positives) == (60, 30)
    model = pickle.loads(zstandard.ZstdDecompressor().decompress(outcome.model))
    expected = LogisticRegression(random_state=model.random_state).fit(*data)
    np.testing.assert_array_equal(model.predict_proba(data[0]), expected.predict_proba(data[0]))


def test_too_few_rows_are_skipped(planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    outcome = fit_group(planned(), "a", features[:19], labels[:19])
    assert (outcome.state, outcome.reason) == ("skipped", "too few labelled rows")
    assert fit_group(planned(), "a", features[:20], labels[:20]).state == "trained"


def test_no_row_at_all_is_too_few(planned: Callable[..., Plan]) -> None:
    outcome = fit_group(planned(), "a", np.empty((0, 2)), np.empty(0))
    assert (outcome.state, outcome.rows) == ("skipped", 0)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_skipped(label: float, planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]) -> None:
    outcome = fit_group(planned(), "a", data[0], np.full(60, label))
    assert (outcome.state, outcome.reason) == ("skipped", "one class only")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_fail_and_name_their_column(
    value: float, planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[0][7, 1] = value
    outcome = fit_group(planned(estimator=PIPELINE), "a", *data)
    assert (outcome.state, outcome.error_class) == ("failed", "InfiniteValues")
    assert outcome.reason == "infinite values in noise"


def test_a_missing_column_fails_and_is_named(planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]) -> None:
    outcome = fit_group(planned(), "a", data[0][:, :1], data[1], missing=["noise"])
    assert (outcome.state, outcome.error_class) == ("failed", "MissingColumn")
    assert "no column noise" in str(outcome.reason)


def test_a_label_that_is_neither_0_nor_1_fails(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[1][3] = 2
    assert fit_group(planned(), "a", *data).error_class == "NotALabel"


def test_unknown_values_are_the_estimators_to_handle(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[0][::3, 0] = np.nan
    assert fit_group(planned(estimator=PIPELINE), "a", *data).state == "trained"
    refused = fit_group(planned(), "a", *data)
    assert (refused.state, refused.error_class) == ("failed", "ValueError")
    assert "NaN" in str(refused.reason)


def test_a_column_of_unknown_values_only_leaves_a_model_that_scores(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    later = data[0].copy()
    data[0][:, 1] = np.nan
    outcome = fit_group(planned(estimator=PIPELINE), "a", *data)
    model = pickle.loads(zstandard.ZstdDecompressor().decompress(outcome.model))
    assert np.isfinite(model.predict_proba(later)).all()


def test_nothing_but_unknown_values_fails_with_a_reason(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(planned(estimator=PIPELINE), "a", np.full_like(data[0], np.nan), data[1])
    assert (outcome.state, outcome.error_class) == ("failed", "ValueError")
    assert "0 feature(s)" in str(outcome.reason)


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), RecursionError("deep"), SystemExit(3)])
def test_whatever_the_estimator_raises_is_an_outcome(
    error: BaseException, planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(of(planned(), Raising, error=error), "a", *data)
    assert (outcome.state, outcome.error_class, outcome.model) == ("failed", type(error).__name__, b"")
    assert outcome.reason


def test_an_interrupt_is_no_outcome(planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_group(of(planned(), Raising, error=KeyboardInterrupt()), "a", *data)


def test_a_model_that_cannot_be_pickled_fails(
    planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]
) -> None:
    outcome = fit_group(of(planned(), Locked), "a", *data)
    assert (outcome.state, outcome.model) == ("failed", b"")
    assert "pickle" in str(outcome.reason).lower()


def test_a_reason_is_one_bounded_line_of_valid_text() -> None:
    reason = reason_of(ValueError("first\nsecond \ud800 " + "x" * 10_000))
    assert reason.startswith("first second ? xxx")
    assert len(reason) == LONGEST_REASON
    reason.encode()


def test_an_error_that_cannot_tell_itself_still_has_a_reason() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert reason_of(Mute()) == "(no message: it raises as well)"


def test_the_seed_decides_the_model(planned: Callable[..., Plan], data: tuple[np.ndarray, np.ndarray]) -> None:
    forest = planned(estimator={"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 3}})
    assert fit_group(forest, "a", *data).model == fit_group(forest, "a", *data).model
    assert fit_group(forest, "a", *data).model != fit_group(forest, "b", *data).model
    assert fit_group(forest, "a", *data).model != fit_group(replace(forest, seed=1), "a", *data).model
