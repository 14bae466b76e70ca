"""Parameters that a group chooses for itself, on its training rows alone, fold after fold in order of time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from muster.errors import WorkloadError
from muster.models.loading import decode
from muster.training.algorithms import estimator_factories
from muster.training.fit import FitPlan, fit_group
from muster.training.outcome import Fit
from muster.workload.spec import Workload
from tests.training.conftest import context_of

NEIGHBOURS = {"steps": "sklearn.neighbors.KNeighborsClassifier", "search": {"grid": {"n_neighbors": [1, 5, 15]}}}
LOGISTIC = ["sklearn.impute.SimpleImputer", "sklearn.linear_model.LogisticRegression"]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Return 200 rows in order of time, and their labels, of which 30 % are positive."""
    random = np.random.default_rng(3)
    labels = (random.random(200) < 0.3).astype(float)
    return random.normal(size=(200, 2)) + 0.7 * labels[:, None], labels


@pytest.fixture
def search(make_plan: Callable[..., FitPlan]) -> Callable[..., Fit]:
    """Return how the search of one algorithm ended, for one group."""

    def fit(algorithm: Any, features: np.ndarray, labels: np.ndarray, **changes: Any) -> Fit:
        [result] = fit_group(make_plan(algorithms={"one": algorithm}, **changes), "a", features, labels).fits
        return result

    return fit


def model_of(fit: Fit) -> Any:
    return decode(fit.model, hashlib.sha256(fit.model).hexdigest(), "a", "")


def by_hand(
    features: np.ndarray, labels: np.ndarray, metric: Callable[..., float], starts: Sequence[int] = (50, 100, 150)
) -> int:
    """Return the best number of neighbours: each 50 rows from `starts` on are judged by all rows before them."""
    means, values = [], [1, 5, 15]
    for value in values:
        fold_scores = []
        for start in starts:
            model = KNeighborsClassifier(value).fit(features[:start], labels[:start])
            fold = slice(start, start + 50)
            fold_scores.append(metric(labels[fold], model.predict_proba(features[fold])[:, 1]))
        means.append(np.mean(fold_scores))
    return values[int(np.argmax(means))]


def test_the_best_on_later_rows_is_refitted_to_all(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    expected = by_hand(*data, roc_auc_score)
    fit = search(NEIGHBOURS, *data)
    assert (fit.state, json.loads(str(fit.params))) == ("trained", {"n_neighbors": expected})
    model = model_of(fit)
    assert (model.n_neighbors, model.n_samples_fit_) == (expected, 200)


@pytest.mark.parametrize(("metric", "loss"), [("log_loss", log_loss), ("mae", mean_absolute_error)])
def test_of_a_loss_the_least_is_chosen(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray], metric: str, loss: Callable[..., float]
) -> None:
    expected = by_hand(*data, lambda labels, scores: -loss(labels, scores))
    fit = search(NEIGHBOURS, *data, gate={"metric": metric})
    assert json.loads(fit.params or "") == {"n_neighbors": expected}


def test_what_is_stored_is_the_estimator_itself_and_no_search(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    fit = search({"steps": LOGISTIC, "search": {"grid": {"logisticregression__C": [0.01, 1]}}}, *data)
    model = model_of(fit)
    chosen = json.loads(str(fit.params))["logisticregression__C"]
    plain = LogisticRegression(C=chosen).fit(*data)
    np.testing.assert_array_equal(model[-1].coef_, plain.coef_)
    assert len(fit.model) < 2_000


def test_without_a_search_there_are_no_params(search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]) -> None:
    assert search(LOGISTIC, *data).params is None


def test_a_fold_of_one_class_is_left_out(search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = data
    labels[100:150] = 0
    fit = search(NEIGHBOURS, features, labels)
    assert (fit.state, fit.reason) == ("trained", None)
    assert json.loads(str(fit.params)) == {"n_neighbors": by_hand(features, labels, roc_auc_score, starts=(50, 150))}


def test_with_one_class_in_every_fold_the_declared_parameters_stay(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    features, labels = data
    labels[:] = 0
    labels[:40] = 1
    fit = search(NEIGHBOURS, features, labels)
    assert (fit.state, fit.params, fit.reason) == ("trained", "{}", "not searched: one class in every fold")
    assert model_of(fit).n_neighbors == 5


@pytest.mark.filterwarnings("ignore")  # scikit-learn's, which training silences
def test_where_no_fold_can_be_scored_the_declared_parameters_stay(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    grid = {"n_neighbors": [150, 160]}  # more than any fold has rows before it, but not more than all
    fit = search(NEIGHBOURS | {"search": {"grid": grid, "folds": 2}}, *data)
    assert (fit.state, fit.params, fit.reason) == ("trained", "{}", "not searched: no fold could be scored")


def test_an_outlier_detector_is_searched_on_the_rows_that_have_labels(
    search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    data[1][::3] = np.nan
    forest = {"sklearn.ensemble.IsolationForest": {"n_estimators": 5}}
    fit = search({"steps": forest, "search": {"grid": {"max_samples": [16, 32]}}}, *data)
    assert (fit.state, fit.reason) == ("trained", None)
    assert json.loads(str(fit.params))["max_samples"] in (16, 32)


@pytest.mark.parametrize(
    ("steps", "grid"),
    [
        ({"lightgbm.LGBMClassifier": {"n_estimators": 5, "verbose": -1}}, {"num_leaves": [2, 7]}),
        ({"xgboost.XGBClassifier": {"n_estimators": 5}}, {"max_depth": [1, 3]}),
        (["sklearn.preprocessing.StandardScaler", "tests.training.own.Threshold"], {"threshold__cut": [-1.0, 0.5]}),
    ],
)
def test_estimators_of_other_libraries_and_of_ones_own_are_searched(
    steps: Any, grid: Any, search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]
) -> None:
    fit = search({"steps": steps, "search": {"grid": grid, "folds": 2}}, *data)
    ((name, values),) = grid.items()
    assert (fit.state, json.loads(str(fit.params))[name] in values) == ("trained", True)


@pytest.mark.parametrize(
    ("steps", "grid", "problem"),
    [
        ("lightgbm.LGBMClassifier", {"boosting_type": ["gbdt", "no"]}, "Unknown boosting type no"),
        ("xgboost.XGBClassifier", {"learning_rate": [0.1, -1]}, "should be greater equal to 0"),
        ("tests.training.own.Threshold", {"cut": [0.1, "high"]}, "cut is no number"),
    ],
)
def test_a_value_that_another_library_refuses_is_told_before_any_group(
    steps: Any, grid: Any, problem: str, declare: Callable[..., Workload], folder: Path
) -> None:
    algorithms = {"one": {"steps": steps, "search": {"grid": grid}}}
    with pytest.raises(WorkloadError, match=problem):
        estimator_factories(context_of(declare(algorithms=algorithms), folder))


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_of_classes_it_chooses_by_the_gates_metric(search: Callable[..., Fit], metric: str) -> None:
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, 200).astype(float)
    features = random.normal(size=(200, 2)) + np.eye(3)[labels.astype(int)][:, :2]
    means = []
    for neighbours in (1, 5, 15):
        folds = []
        for start in (50, 100, 150):
            model = KNeighborsClassifier(neighbours).fit(features[:start], labels[:start].astype(int))
            fold, given = labels[start : start + 50], model.predict_proba(features[start : start + 50])
            loss = -log_loss(fold, given, labels=range(3))
            folds.append(loss if metric == "log_loss" else roc_auc_score(fold, given, multi_class="ovr"))
        means.append(np.mean(folds))
    classes = {"columns": {"place": "string", "at": "timestamp", "delay": "int?"}, "gate": {"metric": metric}}
    outcome = {"classes": {"column": "delay", "values": [0, 1, 2]}}
    fit = search(NEIGHBOURS, features, labels, outcome=outcome, **classes)
    assert json.loads(str(fit.params)) == {"n_neighbors": (1, 5, 15)[int(np.argmax(means))]}


def test_the_same_rows_choose_the_same_again(search: Callable[..., Fit], data: tuple[np.ndarray, np.ndarray]) -> None:
    forest = {"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 3}}
    algorithm = {"steps": forest, "search": {"grid": {"max_depth": [2, 5]}}}
    first, second = search(algorithm, *data), search(algorithm, *data)
    assert (first.params, first.model) == (second.params, second.model)


@pytest.mark.parametrize(
    ("grid", "key", "problem"),
    [
        ({"C": [1]}, "C", "is no parameter of the algorithm; did you mean 'logisticregression__C'?"),
        (
            {"depth": [1]},
            "depth",
            "is no parameter of the algorithm; it has: logisticregression, logisticregression__C",
        ),
        (
            {"logisticregression__C": [1, -1]},
            "logisticregression__C",
            "The 'C' parameter of LogisticRegression must be",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_fit(
    grid: Any, key: str, problem: str, declare: Callable[..., Workload], folder: Path
) -> None:
    algorithms = {"fine": "sklearn.svm.SVC", "one": {"steps": LOGISTIC, "search": {"grid": grid}}}
    with pytest.raises(WorkloadError) as refused:
        estimator_factories(context_of(declare(algorithms=algorithms), folder))
    assert [path for path, _ in refused.value.problems] == [f"algorithms.one.search.grid.{key}"]
    assert problem in str(refused.value)
