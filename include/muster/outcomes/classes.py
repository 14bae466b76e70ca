"""One of some classes: labels are its place among those declared, answers a probability of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.outcomes.binary import ONE_CLASS
from muster.outcomes.kind import Answer, Labels, NotALabel, target_of
from muster.outcomes.weighted import Weights
from muster.workload.outcome import Classes
from muster.workload.spec import Gate


@dataclass(frozen=True)
class ClassesKind:
    """See `kind.Kind`. A label is the class's place in `values`."""

    declared: Classes
    scale: str
    values: str = "class"
    methods: tuple[str, ...] = ("predict_proba",)
    of_classes: bool = False
    supervised: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.declared.answers.values())

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        places = {value: float(place) for place, value in enumerate(self.declared.values or ())}
        return rows[self.declared.column].astype(object).map(places).astype("float64")

    def refuses(self, estimator: Any) -> str | None:
        return None

    def usable(self, labels: Labels) -> NDArray[np.bool_]:
        return ~np.isnan(labels)

    def check(self, labels: Labels) -> None:
        invalid = labels[~np.isin(labels, np.arange(len(self.classes)))]
        if len(invalid):
            raise NotALabel(f"the label {invalid[0]:g} is no place among {len(self.classes)} classes")

    def skip_reason(self, labels: Labels) -> str | None:
        return ONE_CLASS if (labels == labels[:1]).all() else None

    def learnt(self, labels: Labels) -> NDArray[Any]:
        return labels.astype(np.int64)

    def undone(self, learnt: NDArray[Any]) -> NDArray[Any]:
        return learnt.astype(np.float64)

    def positives(self, labels: Labels) -> int | None:
        return None

    def described(self, labels: Labels, weights: Weights = None) -> dict[str, Any]:
        return {"labelled": len(labels), "classes": class_counts(self.classes, labels)}

    def prior(self, labels: Labels, weights: Weights = None) -> float | None:
        return None

    def target(self, labels: Labels, quantile: float | None, weights: Weights = None) -> dict[str, Any] | None:
        counts = {"classes": class_counts(self.classes, labels)}
        if weights is None:
            return counts
        sums = np.bincount(labels.astype(np.intp), weights, minlength=len(self.classes))
        return {**counts, "weights": dict(zip(self.classes, sums.tolist(), strict=True))}

    def constant(self, gate: Gate, prior: float, target: Mapping[str, Any]) -> Answer:
        return self._shares([target])

    def constants(self, prior: float, target: Mapping[str, Any]) -> Mapping[str, Answer]:
        return {"prior": self._shares([target])}

    def pooled(self, models: Iterable[Mapping[str, Any]]) -> float | list[float]:
        shares: list[float] = self._shares([target_of(model) for model in models]).tolist()
        return shares

    def _shares(self, targets: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return the share of each class in all these training rows, (classes,); without any row all are alike.

        A class that none of them is of has the share of one row: who gives it none at all loses so much where it comes
        that any model would be better.
        """
        known = list(targets)
        rows = np.sum([self._each(target.get("classes", {})) for target in [*known, {}]], axis=0)
        if not rows.any():
            return np.full(len(self.classes), 1 / len(self.classes))
        total = np.sum([self._in_rows(target) for target in known], axis=0)
        total[rows == 0] = total.sum() / rows.sum()
        shares: NDArray[np.float64] = total / total.sum()
        return shares

    def _in_rows(self, target: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return how much each class counts among a model's training rows, in rows: see `kind.pooled_mean`."""
        rows = self._each(target.get("classes", {}))
        weights = self._each(target["weights"]) if "weights" in target else rows
        return weights * (rows.sum() / weights.sum()) if weights.any() else rows

    def _each(self, counts: Mapping[str, float]) -> NDArray[np.float64]:
        return np.array([counts.get(name, 0.0) for name in self.classes])

    def may_answer(self, is_share: Callable[[], bool]) -> bool:
        return False


def class_counts(classes: Iterable[str], labels: NDArray[Any]) -> dict[str, int]:
    """Return how many labels are of each class."""
    return {name: int(np.count_nonzero(labels == place)) for place, name in enumerate(classes)}
