"""What a model answers, whatever kind it is. Imports nothing of Muster: it ships with every model."""

from __future__ import annotations

from typing import Any

import numpy as np

BINARY, REGRESSION, UNLABELLED = "binary", "regression", "none"
"""What the answers are: the scale that a manifest names, `regression of log1p` where that is what models learn."""


def scores(model: Any, features: np.ndarray, scale: str = BINARY) -> np.ndarray:
    """Return a score a row, higher for likelier positives: (n, features) float64 in, (n,) float64 out.

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
