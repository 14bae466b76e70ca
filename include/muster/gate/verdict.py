"""The gate's verdict on one group: does the candidate beat its opponent on enough of the paired resamples?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

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
    algorithm: str | None = None
    """The candidate that was chosen among several and judged."""
    candidate_score: float | None = None
    opponent_score: float | None = None
    win_rate: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    """How often chance alone would show such a gain: one-sided, corrected for the choice among algorithms."""
    resamples: int = 0
    """Those in which the metric was defined."""
    rows: int = 0
    positives: int = 0


def judge(
    labels: NDArray[np.bool_],
    candidates: Mapping[str, NDArray[np.float64]],
    opponent: NDArray[np.float64],
    against: Opponent,
    gate: Gate,
    seed: int,
) -> Judgement:
    """Choose among the candidates' scores, algorithm -> (rows,), and judge the best against its opponent's (rows,).

    The best is the one that is best on most of the resamples, the first by name where several are. `promote` when it
    wins on at least `gate.win_rate` of the resamples in which the metric is defined; a tie is no win. `hold` when
    nothing can be said: see `why_hold`, or scores that are not finite.
    """
    rows, positives = len(labels), int(labels.sum())
    finite = {name: candidates[name] for name in sorted(candidates) if np.isfinite(candidates[name]).all()}
    unusable = why_hold(rows, positives, gate.min_positives)
    if unusable is None and not (finite and np.isfinite(opponent).all()):
        unusable = f"the {against if finite else 'candidate'}'s scores are not finite"
    if unusable is not None:
        return Judgement("hold", unusable, against, rows=rows, positives=positives)
    metrics = [METRICS[gate.metric](labels, scores) for scores in (*finite.values(), opponent)]
    values = paired_bootstrap(metrics, rows, gate.resamples, seed)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] == 0:
        return Judgement("hold", "one class in every resample", against, rows=rows, positives=positives)
    chosen = int(np.bincount(values[:-1].argmax(axis=0)).argmax())
    candidate_score, opponent_score = value(metrics[chosen], rows), value(metrics[-1], rows)
    difference = values[chosen] - values[-1]
    win_rate = float(np.mean(difference > 0))
    wins = win_rate >= gate.win_rate
    low, high = (float(point) for point in np.percentile(difference, INTERVAL))
    return Judgement(
        verdict="promote" if wins else "reject",
        reason=f"beats the {against}" if wins else f"does not beat the {against}",
        against=against,
        algorithm=list(finite)[chosen],
        candidate_score=candidate_score,
        opponent_score=opponent_score,
        win_rate=win_rate,
        low=low,
        high=high,
        p_value=p_value(candidate_score - opponent_score, difference, len(finite)),
        resamples=len(difference),
        rows=rows,
        positives=positives,
    )


def p_value(gain: float, difference: NDArray[np.float64], algorithms: int) -> float:
    """Return the one-sided p-value of a gain, by the normal approximation with the bootstrap's standard error.

    The share of resamples lost would be no finer than one of them, too coarse for thousands of groups. Bonferroni's
    bound makes up for the choice among `algorithms` on the same rows.
    """
    spread = float(np.std(difference))
    if spread == 0:
        return 0.0 if gain > 0 else 1.0
    return min(1.0, algorithms * float(ndtr(-gain / spread)))


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
