"""The gate's verdict on one group: does the candidate beat its opponent on enough of the paired resamples?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muster.gate.bootstrap import paired_bootstrap
from muster.gate.metrics import METRICS, value
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
    candidate_score: float | None = None
    opponent_score: float | None = None
    win_rate: float | None = None
    low: float | None = None
    high: float | None = None
    resamples: int = 0
    """Those in which the metric was defined."""
    rows: int = 0
    positives: int = 0


def judge(
    labels: NDArray[np.bool_],
    candidate: NDArray[np.float64],
    opponent: NDArray[np.float64],
    against: Opponent,
    gate: Gate,
    seed: int,
) -> Judgement:
    """Judge a candidate's scores (rows,) against its opponent's on the same labelled rows.

    `promote` when it wins on at least `gate.win_rate` of the resamples in which the metric is defined; a tie is no
    win. `hold` when nothing can be said: see `why_hold`, or a score that is not finite.
    """
    rows, positives = len(labels), int(labels.sum())
    unusable = why_hold(rows, positives, gate.min_positives)
    for name, scores in (("candidate", candidate), (against, opponent)):
        if unusable is None and not np.isfinite(scores).all():
            unusable = f"the {name}'s scores are not finite"
    if unusable is not None:
        return Judgement("hold", unusable, against, rows=rows, positives=positives)
    metrics = [METRICS[gate.metric](labels, scores) for scores in (candidate, opponent)]
    ours, theirs = paired_bootstrap(metrics, rows, gate.resamples, seed)
    difference = ours - theirs
    difference = difference[np.isfinite(difference)]
    if len(difference) == 0:
        return Judgement("hold", "one class in every resample", against, rows=rows, positives=positives)
    win_rate = float(np.mean(difference > 0))
    wins = win_rate >= gate.win_rate
    low, high = (float(point) for point in np.percentile(difference, INTERVAL))
    return Judgement(
        verdict="promote" if wins else "reject",
        reason=f"beats the {against}" if wins else f"does not beat the {against}",
        against=against,
        candidate_score=value(metrics[0], rows),
        opponent_score=value(metrics[1], rows),
        win_rate=win_rate,
        low=low,
        high=high,
        resamples=len(difference),
        rows=rows,
        positives=positives,
    )


def why_hold(rows: int, positives: int, min_positives: int) -> str | None:
    """Return why so many labelled rows and positives cannot be judged on, or None when they can."""
    if rows == 0:
        return "no labelled rows to judge on"
    if positives in (0, rows):
        return "only one class to judge on"
    if positives < min_positives:
        return "too few positives to judge on"
    if rows - positives < min_positives:
        return "too few negatives to judge on"
    return None
