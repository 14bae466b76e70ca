"""A number: labels and answers in its own unit, whatever the models learn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.outcomes.kind import Answer, Labels, NotALabel, pooled_mean
from muster.outcomes.weighted import Weights, mean, median, std, total
from muster.outcomes.weighted import quantile as quantile_of
from muster.workload.outcome import Regression
from muster.workload.spec import Gate

ONE_VALUE = "one value only"


@dataclass(frozen=True)
class RegressionKind:
    """See `kind.Kind`."""

    declared: Regression
    scale: str
    values: str = "value"
    methods: tuple[str, ...] = ("predict",)
    of_classes: bool = False
    supervised: bool = True
    classes: tuple[str, ...] = ()

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        return rows[self.declared.column].astype("float64")

    def refuses(self, estimator: Any) -> str | None:
        from sklearn.base import is_classifier, is_outlier_detector  # a second to import: not in every process

        if not hasattr(estimator, "__sklearn_tags__"):
            return None
        if is_classifier(estimator) or is_outlier_detector(estimator):
            what = "a classifier" if is_classifier(estimator) else "an outlier detector"
            return f"is {what}; 'outcome: regression' needs a regressor, such as sklearn.linear_model.Ridge"
        return None

    def usable(self, labels: Labels) -> NDArray[np.bool_]:
        return ~np.isnan(labels)

    def check(self, labels: Labels) -> None:
        if self.declared.transform == "log1p" and len(invalid := labels[labels <= -1]):
            raise NotALabel(f"'transform: log1p' has no value for {invalid[0]:g}: only above -1")

    def skip_reason(self, labels: Labels) -> str | None:
        return ONE_VALUE if (labels == labels[:1]).all() else None

    def learnt(self, labels: Labels) -> NDArray[Any]:
        return np.log1p(labels) if self.declared.transform == "log1p" else labels

    def undone(self, learnt: NDArray[Any]) -> NDArray[Any]:
        return np.expm1(learnt) if self.declared.transform == "log1p" else learnt

    def positives(self, labels: Labels) -> int | None:
        return None

    def described(self, labels: Labels, weights: Weights = None) -> dict[str, Any]:
        if len(labels) == 0:
            return {"labelled": 0, "mean": None, "std": None}
        return {"labelled": len(labels), "mean": mean(labels, weights), "std": std(labels, weights)}

    def prior(self, labels: Labels, weights: Weights = None) -> float | None:
        return mean(labels, weights) if len(labels) else None

    def target(self, labels: Labels, quantile: float | None, weights: Weights = None) -> dict[str, Any] | None:
        if len(labels) == 0:
            return None
        known = {"mean": mean(labels, weights), "std": std(labels, weights)}
        known |= {"median": median(labels, weights), "last": float(labels[-1])}
        known |= {"median_by_share": _median_by_share(labels, weights)}
        known |= {_key(quantile): quantile_of(labels, quantile, weights)} if quantile is not None else {}
        return {**known, **total(weights)}

    def constant(self, gate: Gate, prior: float, target: Mapping[str, Any]) -> float:
        """Return the mean for squared errors, the median for absolute ones, the quantile for its own loss.

        Each is the constant of least loss on the training rows (Koenker and Bassett 1978 for the quantile); for errors
        as shares of the labels the median that counts each label by its inverse. NaN where the training did not write
        it down, as of a quantile that is declared since.
        """
        names = {"rmse": "mean", "mae": "median", "mape": "median_by_share", "pinball": _key(gate.quantile or 0.5)}
        return float(target.get(names[gate.metric], np.nan))

    def constants(self, prior: float, target: Mapping[str, Any]) -> Mapping[str, Answer]:
        return {"prior": prior, **target}

    def pooled(self, models: Iterable[Mapping[str, Any]]) -> float | list[float]:
        return pooled_mean(models)

    def may_answer(self, is_share: Callable[[], bool]) -> bool:
        return True


def _key(quantile: float) -> str:
    return f"quantile {quantile:g}"


def _median_by_share(labels: Labels, weights: Weights) -> float:
    """Return the constant of which the errors as shares of the labels have the least mean; of no zeros."""
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] != 0]
    if len(order) == 0:
        return 0.0
    known = labels[order]
    counts = np.cumsum((1 if weights is None else weights[order]) / np.abs(known))
    return float(known[np.searchsorted(counts, counts[-1] / 2)])
