"""The gate's verdict on one group: does the candidate beat its opponent on enough of the paired resamples?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.metrics import METRICS, Labels, Measure, value
from muster.evaluation.significance import p_value
from muster.workload.spec import Gate

Verdict = Literal["promote", "hold", "reject"]
Opponent = Literal["champion", "baseline"]
INTERVAL = (2.5, 97.5)
"""Percentiles of candidate - opponent that are kept as evidence: a 95 % interval."""


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence; what could not be measured is None."""

    verdict: Verdict
    reason: str
    """One of few texts, so that reasons can be counted."""
    against: Opponent
    algorithm: str | None = None
    """The candidate that was chosen among several and judged."""
    candidate_score: float | None = None
    opponent_score: float | None = None
    win_rate: float | None = None
    low: float | None = None
    """2.5 % and 97.5 % points of candidate - opponent."""
    high: float | None = None
    p_value: float | None = None
    """How often chance alone would show such a gain: one-sided, corrected for the choice among algorithms."""
    resamples: int = 0
    """Those in which the metric was defined."""
    rows: int = 0
    positives: int = 0


def judge(
    labels: Labels,
    candidates: Mapping[str, NDArray[np.float64]],
    opponent: NDArray[np.float64],
    against: Opponent,
    gate: Gate,
    seed: int,
) -> Judgement:
    """Choose among the candidates' scores, algorithm -> (rows,), and judge the best against its opponent's (rows,).

    The best is the one that is best on most of the resamples, the first by name where several are. `promote` when it
    wins on at least `gate.win_rate` of the resamples in which the metric is defined; a tie is no win. `hold` when the
    rows do not allow a verdict (`hold_reason`), or the metric cannot take the scores; an algorithm with such scores is
    no candidate. All values are in the metric's own sign: of a loss, less is better. `significance.control` then judges
    a promotion among those of all groups.
    """
    measure, rows, positives = METRICS[gate.metric], len(labels), int(np.count_nonzero(labels == 1))
    usable = {
        name: candidates[name] for name in sorted(candidates) if unusable_reason(candidates[name], measure) is None
    }
    unusable = hold_reason(gate, rows, positives) or _first_problem(usable or candidates, opponent, against, measure)
    if unusable is not None:
        return Judgement("hold", unusable, against, rows=rows, positives=positives)
    metrics = [measure.prepare(labels, scores) for scores in (*usable.values(), opponent)]
    values = paired_bootstrap(metrics, rows, gate.resamples, seed)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] == 0:
        return Judgement("hold", f"no {gate.metric} in any resample", against, rows=rows, positives=positives)
    best = int(np.bincount((measure.sign * values[:-1]).argmax(axis=0)).argmax())
    ours, theirs = value(metrics[best], rows), value(metrics[-1], rows)
    gains = measure.sign * (values[best] - values[-1])
    units = min(positives, rows - positives) if measure.of_classes else rows
    win_rate = float(np.mean(gains > 0))
    wins = win_rate >= gate.win_rate
    low, high = sorted(measure.sign * float(point) for point in np.percentile(gains, INTERVAL))
    return Judgement(
        verdict="promote" if wins else "reject",
        reason=f"beats the {against}" if wins else f"does not beat the {against}",
        against=against,
        algorithm=list(usable)[best],
        candidate_score=ours,
        opponent_score=theirs,
        win_rate=win_rate,
        low=low,
        high=high,
        p_value=p_value(measure.sign * (ours - theirs), gains, units, len(usable)),
        resamples=len(gains),
        rows=rows,
        positives=positives,
    )


def hold_reason(gate: Gate, rows: int, positives: int) -> str | None:
    """Return why so many labelled rows and positives cannot be judged on, or None when they can.

    `gate.min_rows` holds for every metric. Both classes, each with `gate.min_positives` rows, are asked for by those
    that are about classes: the two that rank, and log loss, which has a value on one class but none of the other.
    """
    if rows == 0:
        return "no labelled rows to judge on"
    if METRICS[gate.metric].of_classes:
        if positives in (0, rows):
            return "only one class to judge on"
        if positives < gate.min_positives:
            return "too few positives to judge on"
        if rows - positives < gate.min_positives:
            return "too few negatives to judge on"
    return "too few rows to judge on" if rows < gate.min_rows else None


def unusable_reason(scores: NDArray[np.float64], measure: Measure, probabilities: bool = True) -> str | None:
    """Return what keeps a metric from taking these scores, or None; `probabilities` tells whether they are meant so."""
    if not np.isfinite(scores).all():
        return "scores are not finite"
    if measure.of_probabilities and not (probabilities and ((scores >= 0) & (scores <= 1)).all()):
        return "scores are no probabilities"
    return None


def _first_problem(
    candidates: Mapping[str, NDArray[np.float64]], opponent: NDArray[np.float64], against: Opponent, measure: Measure
) -> str | None:
    """Return what is wrong with the scores of the candidates, or else of the opponent."""
    for name, scores in (*(("candidate", scores) for scores in candidates.values()), (against, opponent)):
        if (reason := unusable_reason(scores, measure)) is not None:
            return f"the {name}'s {reason}"
    return None
