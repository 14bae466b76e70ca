"""Estimators of one's own, of an installed package, without scikit-learn's declared constraints."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin


class Threshold(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Scores by the first feature."""

    def __init__(self, cut: float = 0.5) -> None:
        self.cut = cut

    def fit(self, features: Any, labels: Any) -> Threshold:
        if self.cut == "exit":
            sys.exit(0)
        if isinstance(self.cut, str):
            raise TypeError("cut is no number")
        self.classes_ = np.unique(labels)
        return self

    def transform(self, features: Any) -> Any:
        return features

    def predict_proba(self, features: Any) -> Any:
        positive = 1 / (1 + np.exp(self.cut - np.asarray(features)[:, 0]))
        return np.column_stack([1 - positive, positive])

    def predict(self, features: Any) -> Any:
        return (self.predict_proba(features)[:, 1] > 0.5).astype(int)


class Needy(Threshold):
    """Learns only from rows of a certain kind, which made rows are not."""

    def __init__(self, needed: float, cut: float = 0.5) -> None:
        super().__init__(cut)
        self.needed = needed

    def fit(self, features: Any, labels: Any) -> Needy:
        raise ValueError("not a single row is of the needed kind")


class Loose(Threshold):
    """Takes any parameter, and cannot be created without one of them."""

    def __init__(self, needed: float, **others: Any) -> None:
        super().__init__()
        self.needed = needed
