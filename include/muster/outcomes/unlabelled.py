"""No outcome: outlier detectors, judged by what can be said without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.outcomes.binary import binary_labels
from muster.outcomes.kind import Answer, Labels, pooled_mean
from muster.outcomes.weighted import Weights
from muster.workload.outcome import Unlabelled
from muster.workload.spec import Gate


@dataclass(frozen=True)
class UnlabelledKind:
    """See `kind.Kind`. Its labels are those of the report, which nothing learns from or is judged by."""

    declared: Unlabelled
    scale: str
    values: str = "row"
    methods: tuple[str, ...] = ("decision_function",)
    of_classes: bool = False
    supervised: bool = False
    classes: tuple[str, ...] = ()

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        if self.declared.report is None:
            return pd.Series(np.nan, rows.index, dtype="float64")
        return binary_labels(self.declared.report, rows)

    def refuses(self, estimator: Any) -> str | None:
        from sklearn.base import is_outlier_detector  # a second to import: not in every process

        if not hasattr(estimator, "__sklearn_tags__") or is_outlier_detector(estimator):
            return None
        return "is no outlier detector; 'outcome: none' needs one, such as sklearn.ensemble.IsolationForest"

    def usable(self, labels: Labels) -> NDArray[np.bool_]:
        return np.ones(len(labels), dtype=bool)

    def check(self, labels: Labels) -> None:
        pass

    def skip_reason(self, labels: Labels) -> str | None:
        return None

    def learnt(self, labels: Labels) -> NDArray[Any]:
        return labels

    def undone(self, learnt: NDArray[Any]) -> NDArray[Any]:
        return learnt

    def positives(self, labels: Labels) -> int | None:
        return None

    def described(self, labels: Labels, weights: Weights = None) -> dict[str, Any]:
        return {}

    def prior(self, labels: Labels, weights: Weights = None) -> float | None:
        return None

    def target(self, labels: Labels, quantile: float | None, weights: Weights = None) -> dict[str, Any] | None:
        return None

    def constant(self, gate: Gate, prior: float, target: Mapping[str, Any]) -> float:
        return 0.0

    def constants(self, prior: float, target: Mapping[str, Any]) -> Mapping[str, Answer]:
        return {"prior": prior}

    def pooled(self, models: Iterable[Mapping[str, Any]]) -> float | list[float]:
        return pooled_mean(models)

    def may_answer(self, is_share: Callable[[], bool]) -> bool:
        return False
