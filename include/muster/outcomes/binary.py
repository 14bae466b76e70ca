"""Yes or no: labels of 0 and 1, and scores that are higher for likelier positives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.outcomes.kind import Answer, Labels, NotALabel, pooled_mean
from muster.outcomes.weighted import Weights, mean, total
from muster.workload.outcome import Binary
from muster.workload.spec import Gate

ONE_CLASS = "one class only"


@dataclass(frozen=True)
class BinaryKind:
    """See `kind.Kind`."""

    declared: Binary
    scale: str
    values: str = "class"
    methods: tuple[str, ...] = ("predict_proba", "score_samples", "decision_function")
    of_classes: bool = True
    supervised: bool = True
    classes: tuple[str, ...] = ()

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        return binary_labels(self.declared, rows)

    def refuses(self, estimator: Any) -> str | None:
        return None

    def usable(self, labels: Labels) -> NDArray[np.bool_]:
        return ~np.isnan(labels)

    def check(self, labels: Labels) -> None:
        invalid = labels[(labels != 0) & (labels != 1)]
        if len(invalid):
            raise NotALabel(f"the label {invalid[0]:g} is neither 0 nor 1")

    def skip_reason(self, labels: Labels) -> str | None:
        return ONE_CLASS if self.positives(labels) in (0, len(labels)) else None

    def learnt(self, labels: Labels) -> NDArray[Any]:
        return labels.astype(np.int64)

    def undone(self, learnt: NDArray[Any]) -> NDArray[Any]:
        return learnt

    def positives(self, labels: Labels) -> int | None:
        return int(np.count_nonzero(labels == 1))

    def described(self, labels: Labels, weights: Weights = None) -> dict[str, Any]:
        return {"labelled": len(labels), "positives": self.positives(labels)}

    def prior(self, labels: Labels, weights: Weights = None) -> float | None:
        return mean(labels == 1, weights) if len(labels) else None

    def target(self, labels: Labels, quantile: float | None, weights: Weights = None) -> dict[str, Any] | None:
        return total(weights) or None

    def constant(self, gate: Gate, prior: float, target: Mapping[str, Any]) -> Answer:
        """Return the share of positives; for absolute errors the commoner label, of which they are least."""
        return float(prior > 0.5) if gate.metric == "mae" else prior

    def constants(self, prior: float, target: Mapping[str, Any]) -> Mapping[str, Answer]:
        return {"prior": prior}

    def pooled(self, models: Iterable[Mapping[str, Any]]) -> float | list[float]:
        return pooled_mean(models)

    def may_answer(self, is_share: Callable[[], bool]) -> bool:
        return is_share()


def binary_labels(declared: Binary, rows: pd.DataFrame) -> pd.Series:
    """Return 1 or 0 for each row, float64; NaN where the column's value is missing."""
    values = rows[declared.column]
    if declared.above is None:
        positive = values.isin(declared.equals or ())
    else:
        values = values.astype("float64")
        positive = values > declared.above
    return positive.astype("float64").where(values.notna())
