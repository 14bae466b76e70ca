"""Choose a group's parameters by cross-validation on its training rows, folds in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from muster.errors import bounded, let_through
from muster.evaluation.metrics import METRICS
from muster.evaluation.verdict import unusable_reason
from muster.models.reader import gives_probabilities, scores
from muster.training.parameters import first_line, parameter_problem
from muster.workload.algorithm import Search

ONE_CLASS = "not searched: one class in every fold"
NO_SCORE = "not searched: no fold could be scored"


@dataclass(frozen=True)
class GateScorer:
    """Scores a fold as the gate would: the same metric on the same scores. scikit-learn calls it."""

    metric: str

    def __call__(self, estimator: Any, features: np.ndarray, labels: np.ndarray) -> float:
        """Return the metric over the labelled rows, a loss negated; NaN for scores that the metric cannot take."""
        is_labelled, measure = ~np.isnan(labels), METRICS[self.metric]
        fold_scores = scores(estimator, features[is_labelled])
        if unusable_reason(fold_scores, measure, gives_probabilities(estimator)) is not None:
            return float("nan")
        return measure.sign * measure.value(labels[is_labelled], fold_scores)


def best_params(
    estimator: Any, search: Search, metric: str, features: np.ndarray, labels: np.ndarray, supervised: bool
) -> tuple[dict[str, Any], str | None]:
    """Return the best parameters of the grid; or none, and why the declared ones stay.

    Takes rows in order of time. Fold by fold, what was learnt from all rows before it is judged on it; a fold is left
    out when it, or what an algorithm that needs labels learns from before it, has one class only.
    """
    splits = list(_splits(search.folds, labels, supervised))
    if not splits:
        return {}, ONE_CLASS
    grid = {name: list(values) for name, values in search.grid.items()}
    search_cv = GridSearchCV(estimator, grid, scoring=GateScorer(metric), cv=splits, n_jobs=1, refit=False)
    search_cv.fit(features, labels.astype(np.int64) if supervised else labels)
    return (dict(search_cv.best_params_), None) if np.isfinite(search_cv.best_score_) else ({}, NO_SCORE)


def _splits(folds: int, labels: np.ndarray, supervised: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if len(labels) <= folds:
        return
    for earlier, fold in TimeSeriesSplit(n_splits=folds).split(labels):
        if _has_both_classes(labels[fold]) and (_has_both_classes(labels[earlier]) or not supervised):
            yield earlier, fold


def _has_both_classes(labels: np.ndarray) -> bool:
    return bool((labels == 0).any() and (labels == 1).any())


def grid_problems(estimator: Any, search: Search, columns: int) -> Iterator[tuple[str, str]]:
    """Yield each parameter that the estimator does not have, or has a value that it refuses, and what is wrong.

    It is an estimator of so many feature `columns`.
    """
    if not hasattr(estimator, "get_params"):
        for name in search.grid:
            yield name, f"a {type(estimator).__name__} cannot be searched: it has no method 'get_params'"
        return
    known = sorted(estimator.get_params())
    for name, values in search.grid.items():
        if name not in known:
            near = [other for other in known if other.rpartition("__")[2] == name.rpartition("__")[2]]
            hint = f"did you mean '{near[0]}'?" if near else f"it has: {bounded(known)}"
            yield name, f"is no parameter of the algorithm; {hint}"
            continue
        for candidate in values:
            problem = _rejection(estimator, columns, name, candidate)
            if problem:
                yield name, problem
                break


def _rejection(estimator: Any, columns: int, name: str, value: Any) -> str | None:
    try:
        candidate = clone(estimator).set_params(**{name: value})
        return parameter_problem(candidate, columns, lambda: clone(estimator))
    except BaseException as error:
        let_through(error)
        return first_line(error)
