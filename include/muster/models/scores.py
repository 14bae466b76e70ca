"""What a model answers, whatever kind it is. Imports nothing of Muster: it ships with every model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

BINARY, REGRESSION, UNLABELLED, CLASSES = "binary", "regression", "none", "classes of "
"""What the answers are: the scale that a manifest names, `regression of log1p` where that is what models learn, and
of classes their JSON behind: `classes of ["none", "pump"]`."""


def scores(model: Any, features: np.ndarray, scale: str = BINARY) -> np.ndarray:
    """Return a score a row, higher for likelier positives: (n, features) float64 in, (n,) float64 out.

    Of classes a probability each, in the scale's order, (n, classes), 0 of a class that the model does not know.
    The probability of class 1, or the decision function, or (outlier detectors) the negated score of normality. Where
    the `scale` is of a number, that number, in its own unit whatever the model has learnt of it. Where nothing is
    labelled, the negated decision function: above 0 is an alert, what the model's own `predict` calls -1.

    Raises:
        TypeError: when the model offers none of them.
    """
    if scale.startswith(REGRESSION):
        answers = np.asarray(model.predict(features), dtype=np.float64)
        return np.expm1(answers) if scale.endswith("log1p") else answers
    if scale == UNLABELLED:
        return -np.asarray(model.decision_function(features), dtype=np.float64)
    if scale.startswith(CLASSES):
        return _of_classes(model, features, *width(scale))
    if gives_probabilities(model):
        column = int(np.flatnonzero(model.classes_ == 1)[0])
        return np.asarray(model.predict_proba(features)[:, column], dtype=np.float64)
    if hasattr(model, "score_samples"):
        return -np.asarray(model.score_samples(features), dtype=np.float64)
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(features), dtype=np.float64)
    raise TypeError(f"a {type(model).__name__} has neither predict_proba, score_samples nor decision_function")


def gives_probabilities(model: Any) -> bool:
    """Tell whether a model's scores are probabilities; others may lie between 0 and 1, too."""
    return hasattr(model, "predict_proba")


def width(scale: str) -> tuple[int, ...]:
    """Return the shape of what answers a row: () for one number, (classes,) for a probability each."""
    return (len(json.loads(scale.removeprefix(CLASSES))),) if scale.startswith(CLASSES) else ()


def _of_classes(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    """Return a probability a class, (n, classes): a model's columns stand where its own classes do."""
    known = np.asarray(model.classes_, dtype=np.int64)
    given = np.asarray(model.predict_proba(features), dtype=np.float64)
    if given.shape != (len(features), len(known)):
        raise ValueError(f"{len(features)} rows of {len(known)} classes gave probabilities of shape {given.shape}")
    placed = np.zeros((len(features), classes))
    placed[:, known] = given
    return placed


def finite_rows(answers: np.ndarray) -> np.ndarray:
    """Tell which rows have a whole answer: (n,) or (n, classes) in, (n,) bool out."""
    finite = np.isfinite(answers)
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


def answer_columns(answers: np.ndarray, named: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return answers as columns: `score`; and of classes the likeliest, the first among equals, and each probability.

    `named` has each class by its column. `score` then is the probability of the likeliest; a row without an answer has
    none.
    """
    if answers.ndim == 1:
        return {"score": answers}
    likeliest = answers.argmax(axis=1)
    predicted = np.array(list(named.values()), dtype=object)[likeliest]
    predicted[~finite_rows(answers)] = None
    score = np.take_along_axis(answers, likeliest[:, np.newaxis], axis=1)[:, 0]
    return {"score": score, "predicted": predicted, **dict(zip(named, answers.T, strict=True))}
