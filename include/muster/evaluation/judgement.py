"""What the gate judges, and what it says: rows held out, a rival, a verdict with its evidence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.clusters import Clusters
from muster.evaluation.mass_volume import decisive
from muster.evaluation.metric import Labels, Measure
from muster.outcomes.classes import class_counts
from muster.outcomes.kind import Answer

Verdict = Literal["promote", "hold", "reject"]
Opponent = Literal["champion", "baseline"]
Rule = Literal["better", "not_worse"]


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence; what could not be measured is None."""

    verdict: Verdict
    reason: str
    """One of few texts, so that reasons can be counted."""
    against: Opponent
    rule: Rule | None = None
    """What the candidate had to be: `better` than its opponent, or `not_worse` than a champion."""
    algorithm: str | None = None
    """The candidate that was chosen among several and judged."""
    candidate_score: float | None = None
    candidate_spread: float | None = None
    """Its standard error, by the resamples."""
    opponent_score: float | None = None
    chance_score: float | None = None
    """The value of what knows nothing on the same rows."""
    win_rate: float | None = None
    low: float | None = None
    """2.5 % and 97.5 % points of candidate - opponent."""
    high: float | None = None
    p_value: float | None = None
    """How often chance alone would show such a gain: one-sided, corrected for the choice among algorithms."""
    chance_p_value: float | None = None
    """The same of the gain over `chance_score`, or over `gate.at_least` where that asks for more."""
    resamples: int = 0
    """Those in which the metric was defined."""
    rows: int = 0
    positives: int | None = 0
    """Of yes and no; else None."""
    classes: str | None = None
    """Of classes: JSON of how many rows are of each."""
    clusters: int = 0
    """How many days the rows are of, or rows: what was resampled."""
    alerts: float | None = None
    """Without labels: the share of the rows that the candidate alerts on."""
    agreement: float | None = None
    """Without labels: the rank correlation of the candidate's scores with the champion's."""
    report: str | None = None
    """Without labels: JSON of what alerts and the labels of some rows have in common; it decided nothing."""


@dataclass(frozen=True)
class HeldOut:
    """The labelled rows to judge on, and what is resampled of them."""

    labels: Labels
    clusters: Clusters
    of_classes: bool = True
    """Whether labels are yes and no."""
    classes: tuple[str, ...] = ()
    """Of classes, which labels are places among."""

    @property
    def positives(self) -> int | None:
        """How many rows are labelled 1, of yes and no; else None."""
        return int(np.count_nonzero(self.labels == 1)) if self.of_classes else None

    @property
    def class_counts(self) -> str | None:
        """JSON of how many rows are of each class; None where labels are no such."""
        return json.dumps(class_counts(self.classes, self.labels)) if self.classes else None

    def about_classes(self, measure: Measure) -> bool:
        """Tell whether each class's own rows have to be enough: among several only where they are ranked."""
        return measure.of_classes and (measure.of_ranks or not self.classes)

    def units(self, measure: Measure, *scores: NDArray[np.float64]) -> float:
        """Return how many clusters there are in effect of the rows that decide the metric.

        For one that is about classes these are the rarest one's that is there; for one about volumes those that any of
        the `scores` ranks among the most unusual, the fewest.
        """
        if measure.of_volume:
            rows, clusters = len(self.labels), self.clusters
            return min(clusters.effective(decisive(of[:rows], clusters.weights)) for of in scores)
        if not self.about_classes(measure):
            return self.clusters.effective(np.ones(len(self.labels), dtype=bool))
        labels = np.unique(self.labels) if self.classes else (0, 1)
        return min(self.clusters.effective(self.labels == label) for label in labels)


@dataclass(frozen=True)
class Rival:
    """Who the candidates must beat, or not be worse than by a margin."""

    name: Opponent
    scores: NDArray[np.float64]
    """Its score of each row: (rows,), of classes (rows, classes)."""
    constant: Answer
    """What is answered by what knows nothing: one score for all rows."""
    rule: Rule = "better"
    margin: float = 0.0
    """How much worse a candidate may be, in the metric's unit."""

    def allowance(self, measure: Measure, value: float) -> float:
        """Return what is added to the gain of a candidate over this rival of such a value: the sum must be above 0."""
        if self.rule == "not_worse" or self.name == "baseline":
            return self.margin
        return -(measure.least_gain + measure.least_share * abs(value))


def held(reason: str, against: Opponent, rows: HeldOut) -> Judgement:
    """Return that nothing can be said of a group, and why."""
    return Judgement(
        "hold",
        reason,
        against,
        rows=len(rows.labels),
        positives=rows.positives,
        classes=rows.class_counts,
        clusters=rows.clusters.count,
    )
