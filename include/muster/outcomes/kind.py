"""What differs between the kinds of outcome, asked wherever it matters: a new kind is a file beside this one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.outcomes.weighted import Weights
from muster.workload.spec import Gate

Labels = NDArray[np.float64]
"""The labels of a group's rows, none of them missing: (rows,)."""

Answer = float | NDArray[np.float64]
"""What answers one row: a number, or of classes a probability each, (classes,)."""


class NotALabel(ValueError):
    """Raised for a group with a label that its kind of outcome, or what its models learn, does not have."""


class Kind(Protocol):
    """A kind of outcome. Plain data: it travels to the executors."""

    @property
    def of_classes(self) -> bool:
        """Return whether labels are yes and no."""

    @property
    def supervised(self) -> bool:
        """Return whether any model may be shown labels; outlier detectors are shown none in any case."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes that labels are places among, as texts; none of any other kind."""

    @property
    def values(self) -> str:
        """Return what one of its labels is: a class, or a value."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Return what an estimator has to have one of, to answer."""

    @property
    def scale(self) -> str:
        """Return what the models' answers are, as `models.scores` takes it."""

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        """Return the label of each observation, float64; NaN where the outcome is not known."""

    def refuses(self, estimator: Any) -> str | None:
        """Return why an estimator is not for this kind of outcome, or None."""

    def usable(self, labels: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which rows are judged on, and learnt from by models that need labels, by all their labels: (rows,)."""

    def check(self, labels: Labels) -> None:
        """Check a group's labels.

        Raises:
            NotALabel: with the first that there cannot be.
        """

    def skip_reason(self, labels: Labels) -> str | None:
        """Return why nothing can be learnt from a group's labels, or None."""

    def learnt(self, labels: Labels) -> NDArray[Any]:
        """Return what an estimator is fitted to."""

    def undone(self, learnt: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of which this was learnt."""

    def positives(self, labels: Labels) -> int | None:
        """Return how many labels are 1; None where that means nothing."""

    def described(self, labels: Labels, weights: Weights = None) -> dict[str, Any]:
        """Return what a person is told of some labels, by its name."""

    def prior(self, labels: Labels, weights: Weights = None) -> float | None:
        """Return what is known of any row by the training labels alone: their mean, or share of positives; None
        without any."""

    def target(self, labels: Labels, quantile: float | None, weights: Weights = None) -> dict[str, Any] | None:
        """Return what is written down of a group's training labels beside their mean; None where that says all."""

    def constant(self, gate: Gate, prior: float, target: Mapping[str, Any]) -> Answer:
        """Return what is answered by who knows the training labels only: the best constant for the gate's metric."""

    def constants(self, prior: float, target: Mapping[str, Any]) -> Mapping[str, Answer]:
        """Return what each word for a baseline answers, `prior` among them."""

    def pooled(self, models: Iterable[Mapping[str, Any]]) -> float | list[float]:
        """Return what is known of any row by the training labels of all these models together.

        A model is what manifest or journal have of it: `rows`, `positives`, `prior`, `target`.
        """

    def may_answer(self, is_share: Callable[[], bool]) -> bool:
        """Tell whether a feature may answer where there is no model; `is_share` tells whether all its values are
        between 0 and 1."""


def pooled_mean(models: Iterable[Mapping[str, Any]]) -> float:
    """Return the share of positives, or the mean, of the training rows of all models; 0 without any row.

    Each model counts by its rows, whatever they weigh: weights of two models may be in two units, and models of before
    there were any have none. Within a model its rows count by their weights.
    """
    known = [(model.get("rows") or 0, _sum(model)) for model in models]
    count = sum(rows for rows, _ in known)
    return float(sum(summed for _, summed in known) / count) if count else 0.0


def _sum(model: Mapping[str, Any]) -> float:
    """Return the sum of a model's training labels, as many as it has rows: of yes and no the positives."""
    positives = None if "weight" in target_of(model) else model.get("positives")
    rows, mean = model.get("rows") or 0, model.get("prior") or 0.0
    return float(rows * mean if positives is None else positives)


def target_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else was written down of a model's training labels, see `Kind.target`."""
    known: dict[str, Any] = json.loads(model.get("target") or "{}")
    return known
