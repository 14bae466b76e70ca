"""Choose a group's parameters by cross-validation on its training rows, folds in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from muster.errors import bounded, let_through
from muster.evaluation.metrics import measure_of
from muster.evaluation.verdict import unusable_reason
from muster.evaluation.volume import with_points
from muster.models.scores import gives_probabilities, scores
from muster.outcomes.kind import Kind
from muster.training.parameters import first_line, parameter_problem
from muster.workload.algorithm import Search
from muster.workload.spec import Gate

NO_SCORE = "not searched: no fold could be scored"


@dataclass(frozen=True)
class ChosenBy:
    """What a search chooses by: the gate's own metric, of this kind of outcome."""

    gate: Gate
    kind: Kind
    supervised: bool
    """False for an outlier detector, which is shown no label."""

    def __call__(self, estimator: Any, features: np.ndarray, labels: np.ndarray) -> float:
        """Return the metric over a fold's labelled rows, a loss negated; NaN for scores that it cannot take.

        The same metric on the same scores as the gate's: without labels over all rows. scikit-learn calls it.
        """
        labels, measure = self.kind.undone(labels), measure_of(self.gate)
        is_labelled = self.kind.usable(labels)
        asked = features[is_labelled]
        fold_scores = scores(estimator, with_points(asked) if measure.of_volume else asked, self.kind.scale)
        if unusable_reason(fold_scores, measure, gives_probabilities(estimator)) is not None:
            return float("nan")
        return measure.sign * measure.value(labels[is_labelled], fold_scores)


def best_params(
    estimator: Any, search: Search, by: ChosenBy, features: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, Any], str | None]:
    """Return the best parameters of the grid; or none, and why the declared ones stay.

    Takes rows in order of time. Fold by fold, what was learnt from all rows before it is judged on it; a fold is left
    out when it, or what an algorithm that needs labels learns from before it, has one class, or value, only.
    """
    splits = list(_splits(search.folds, labels, by))
    if not splits:
        return {}, f"not searched: one {by.kind.values} in every fold"
    grid = {name: list(values) for name, values in search.grid.items()}
    search_cv = GridSearchCV(estimator, grid, scoring=by, cv=splits, n_jobs=1, refit=False)
    search_cv.fit(features, by.kind.learnt(labels) if by.supervised else labels)
    return (dict(search_cv.best_params_), None) if np.isfinite(search_cv.best_score_) else ({}, NO_SCORE)


def _splits(folds: int, labels: np.ndarray, by: ChosenBy) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if len(labels) <= folds:
        return
    for earlier, fold in TimeSeriesSplit(n_splits=folds).split(labels):
        if _tells(by.kind, labels[fold]) and (_tells(by.kind, labels[earlier]) or not by.supervised):
            yield earlier, fold


def _tells(kind: Kind, labels: np.ndarray) -> bool:
    """Tell whether some labels are known that differ."""
    return kind.skip_reason(labels[~np.isnan(labels)]) is None


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
