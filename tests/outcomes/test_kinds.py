"""What the kinds of outcome make of a column, of labels and of an estimator."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge

from muster.evaluation.metrics import METRICS
from muster.outcomes.kind import Kind, NotALabel
from muster.outcomes.kinds import kind_of
from muster.workload.outcome import Outcome
from muster.workload.spec import Gate


def kind(**declared: Any) -> Kind:
    return kind_of(Outcome.model_validate(declared))


@pytest.mark.parametrize(
    ("declared", "values", "labels"),
    [
        ({"column": "x", "above": 0}, [1.5, 0.0, None], [1, 0, np.nan]),
        ({"column": "x", "above": 0}, pd.array([True, False, None], "boolean"), [1, 0, np.nan]),
        ({"column": "x", "equals": ["late", "lost"]}, ["lost", "fine", None], [1, 0, np.nan]),
        ({"column": "x", "equals": [2, 3]}, pd.array([2, 1, None], "Int64"), [1, 0, np.nan]),
    ],
)
def test_yes_and_no_are_made_of_a_column(declared: Any, values: Any, labels: list[float]) -> None:
    made = kind(binary=declared).labels(pd.DataFrame({"x": values}))
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made.to_numpy(), labels)


def test_a_number_is_the_columns_own() -> None:
    made = kind(regression={"column": "x"}).labels(pd.DataFrame({"x": pd.array([2, -1, None], "Int64")}))
    np.testing.assert_array_equal(made.to_numpy(), [2.0, -1.0, np.nan])


def test_what_is_learnt_of_a_number_is_undone_in_answers() -> None:
    by_log, labels = kind(regression={"column": "x", "transform": "log1p"}), np.array([0.0, 3.0, 99.0])
    np.testing.assert_allclose(by_log.learnt(labels), np.log1p(labels))
    np.testing.assert_allclose(by_log.undone(by_log.learnt(labels)), labels)
    with pytest.raises(NotALabel, match="'transform: log1p' has no value for -2: only above -1"):
        by_log.check(np.array([1.0, -2.0]))


def test_what_is_known_of_a_numbers_labels() -> None:
    number, labels = kind(regression={"column": "x"}), np.array([1.0, 2.0, 6.0, 3.0])
    known = number.target(labels, 0.9)
    assert known is not None
    figures = {"mean": 3.0, "std": labels.std(), "median": 2.5, "last": 3.0, "median_by_share": 1.0}
    assert known == {**figures, "quantile 0.9": np.quantile(labels, 0.9)}
    assert (number.prior(labels), number.positives(labels)) == (3.0, None)
    constants = {
        metric: number.constant(Gate(metric=metric, quantile=quantile), 3.0, known)  # type: ignore[arg-type]
        for metric, quantile in (("rmse", None), ("mae", None), ("mape", None), ("pinball", 0.9))
    }
    assert constants == {"rmse": 3.0, "mae": 2.5, "mape": 1.0, "pinball": known["quantile 0.9"]}


def test_of_a_quantile_that_is_declared_since_no_constant_is_known() -> None:
    number = kind(regression={"column": "x"})
    known = number.target(np.array([1.0, 2.0]), 0.1)
    assert known is not None
    assert np.isnan(number.constant(Gate(metric="pinball", quantile=0.9), 1.5, known))


@pytest.mark.parametrize("metric", ["rmse", "mae", "mape"])
@pytest.mark.parametrize("seed", range(3))
def test_no_constant_has_a_smaller_error_than_the_one_of_the_metric(metric: str, seed: int) -> None:
    """On the training rows themselves, against a fine grid."""
    labels = np.random.default_rng(seed).lognormal(size=201)
    number, measure = kind(regression={"column": "x"}), METRICS[metric]
    best = number.constant(Gate(metric=metric), float(labels.mean()), number.target(labels, None) or {})  # type: ignore[arg-type]
    grid = min(measure.value(labels, np.full(201, value)) for value in np.linspace(0, 5, 501))
    assert measure.value(labels, np.full(201, best)) <= grid + 1e-9


def test_of_yes_and_no_absolute_errors_are_least_for_the_commoner_label() -> None:
    binary = kind(binary={"column": "x", "above": 0})
    constants = {m: binary.constant(Gate(metric=m), 0.2, {}) for m in ("mae", "rmse", "log_loss", "roc_auc")}  # type: ignore[arg-type]
    assert constants == {"mae": 0.0, "rmse": 0.2, "log_loss": 0.2, "roc_auc": 0.2}
    assert binary.constant(Gate(metric="mae"), 0.7, {}) == 1.0


@pytest.mark.parametrize(
    ("labels", "of_classes", "of_numbers"),
    [
        ([1.0, 1.0], "one class only", "one value only"),
        ([0.0, 1.0], None, None),
        ([0.0, 0.0], "one class only", "one value only"),
    ],
)
def test_where_nothing_differs_nothing_is_learnt(
    labels: list[float], of_classes: str | None, of_numbers: str | None
) -> None:
    binary, number = kind(binary={"column": "x", "above": 0}), kind(regression={"column": "x"})
    assert (binary.skip_reason(np.array(labels)), number.skip_reason(np.array(labels))) == (of_classes, of_numbers)


def test_a_label_of_yes_and_no_is_0_or_1() -> None:
    with pytest.raises(NotALabel, match="the label 2 is neither 0 nor 1"):
        kind(binary={"column": "x", "above": 0}).check(np.array([0.0, 2.0]))


def test_numbers_are_a_regressors_matter() -> None:
    number = kind(regression={"column": "x"})
    assert number.refuses(Ridge()) is None
    assert "is a classifier; 'outcome: regression' needs a regressor" in str(number.refuses(LogisticRegression()))
    assert "is an outlier detector" in str(number.refuses(IsolationForest()))


def test_without_an_outcome_every_row_counts_and_only_outlier_detectors_are_asked() -> None:
    unlabelled, labels = kind(none={}), np.array([np.nan, np.nan])
    assert unlabelled.usable(labels).all()
    assert unlabelled.labels(pd.DataFrame({"x": [1.0, 2.0]})).isna().all()
    assert (unlabelled.skip_reason(labels), unlabelled.positives(labels), unlabelled.prior(labels)) == (
        None,
        None,
        None,
    )
    assert unlabelled.refuses(IsolationForest()) is None
    assert "is no outlier detector; 'outcome: none' needs one" in str(unlabelled.refuses(Ridge()))
    assert "is no outlier detector" in str(unlabelled.refuses(LogisticRegression()))
    assert not unlabelled.may_answer(lambda: True)


def test_labels_for_a_report_are_made_as_those_of_yes_and_no() -> None:
    report = kind(none={"report": {"column": "x", "equals": ["leak"]}})
    labels = report.labels(pd.DataFrame({"x": ["leak", "fine", None]}))
    np.testing.assert_array_equal(labels, [1.0, 0.0, np.nan])


@pytest.mark.parametrize(
    ("values", "column", "labels"),
    [
        (["none", "pump"], ["pump", "none", None, "belt"], [1, 0, np.nan, np.nan]),
        ([4, 2], pd.array([2, 4, None], "Int64"), [1, 0, np.nan]),
        ([True, False], pd.array([True, False, None], "boolean"), [0, 1, np.nan]),
    ],
)
def test_a_label_is_a_classs_place(values: Any, column: Any, labels: list[float]) -> None:
    made = kind(classes={"column": "x", "values": values}).labels(pd.DataFrame({"x": column}))
    assert made.dtype == np.float64
    np.testing.assert_array_equal(made.to_numpy(), labels)


def test_what_is_known_of_classes_are_their_counts() -> None:
    classes, labels = kind(classes={"column": "x", "values": ["a", "b", "c"]}), np.array([2.0, 0.0, 2.0, 2.0])
    target = {"classes": {"a": 1, "b": 0, "c": 3}}
    assert (classes.target(labels, None), classes.prior(labels), classes.positives(labels)) == (target, None, None)
    assert classes.described(labels) == {"labelled": 4, **target}
    unseen = classes.constant(Gate(), 0.5, target)  # b has the share of one row
    np.testing.assert_allclose(unseen, [1 / 5, 1 / 5, 3 / 5], rtol=1e-15)
    weighted = classes.constant(Gate(), 0.5, {**target, "weights": {"a": 2.0, "b": 0.0, "c": 6.0}})
    np.testing.assert_allclose(weighted, unseen, rtol=1e-15)
    seen = {"classes": {"a": 1, "b": 4, "c": 3}}
    np.testing.assert_array_equal(classes.constant(Gate(), 0.5, seen), [1 / 8, 4 / 8, 3 / 8])
    np.testing.assert_array_equal(classes.constants(0.5, {})["prior"], [1 / 3] * 3)
    models = [{"target": json.dumps(target)}, {"target": '{"classes": {"b": 4}}'}, {"target": None}]
    assert classes.pooled(models) == [1 / 8, 4 / 8, 3 / 8]
    assert classes.skip_reason(labels) is None
    assert classes.skip_reason(labels[2:]) == "one class only"
    assert not classes.may_answer(lambda: True)
    with pytest.raises(NotALabel, match="the label 3 is no place among 3 classes"):
        classes.check(np.array([0.0, 3.0]))


def test_shares_and_means_are_pooled_over_all_training_rows() -> None:
    shares = [{"rows": 10, "positives": 1, "prior": 0.1}, {"rows": 30, "positives": 9, "prior": 0.3}]
    means = [{"rows": 1, "positives": None, "prior": 5.0}, {"rows": 3, "positives": None, "prior": 9.0}]
    assert kind(binary={"column": "x", "above": 0}).pooled(shares) == 0.25
    assert kind(regression={"column": "x"}).pooled(means) == 8.0


@pytest.mark.parametrize(
    "declared",
    [
        {"binary": {"column": "x", "above": 0}},
        {"regression": {"column": "x"}},
        {"classes": {"column": "x", "values": [0, 1]}},
    ],
)
def test_with_an_outcome_the_rows_with_a_label_count(declared: dict[str, Any]) -> None:
    np.testing.assert_array_equal(kind(**declared).usable(np.array([1.0, np.nan, 0.0])), [True, False, True])
