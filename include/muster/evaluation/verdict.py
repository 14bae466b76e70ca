"""The gate's verdict on one group: does the candidate beat its rival, and chance, on enough of the paired resamples?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.judgement import HeldOut, Judgement, Rival, Rule, Verdict, held
from muster.evaluation.metric import ROUNDING, Labels, Measure
from muster.evaluation.metrics import METRICS, measure_of
from muster.evaluation.sanity import WITHOUT_LABELS, Sanity, sanity
from muster.evaluation.significance import p_value
from muster.workload.spec import Gate

REASONS: Mapping[Rule, tuple[str, str]] = MappingProxyType(
    {"better": ("beats", "does not beat"), "not_worse": ("is not worse than", "may be worse than")}
)
"""What is said of a candidate that wins against its rival, and of one that does not."""
WON = tuple(f"{won} the " for won, _ in REASONS.values())
NO_BETTER_THAN_CHANCE = "does no better than chance"
BELOW_THE_BAR = "does not reach gate.at_least"
TOO_FEW_OF_CLASSES = "fewer than two classes with enough rows to judge on"
NEAR_ZERO = 0.01
"""As a share of the median label."""
SUM_TO_ONE = 1e-5
"""What the probabilities of all classes may sum up to beside 1: some models reckon in 32 bits."""
INTERVAL = (2.5, 97.5)
"""Percentiles of candidate - opponent that are kept as evidence: a 95 % interval."""


def judge(
    rows: HeldOut, candidates: Mapping[str, NDArray[np.float64]], rival: Rival, gate: Gate, seed: int
) -> Judgement:
    """Choose among the candidates' scores, algorithm -> (rows,) or of classes (rows, classes), and judge the best
    against its rival.

    The best is the one that is best on most of the resamples, the first by name where several are. `promote` when it
    wins against the rival, by what `Rival.allowance` says, and against what knows nothing, each on at least
    `gate.win_rate` of the resamples in which the metric is defined; a tie is no win. `hold` when the rows do not allow
    a verdict (`hold_reason`), or the metric cannot take the scores; an algorithm with such scores is no candidate. All
    values are in the metric's own sign: of a loss, less is better. `significance.control` then judges a promotion among
    those of all groups.

    Where the metric is about volumes, scores are of the rows and of points below them, (rows and points,): nothing of
    the verdict is by labels, and `reject` is whoever does not hold what `gate` declares of alerts and agreement.
    """
    measure = measure_of(gate)
    usable = {
        name: candidates[name] for name in sorted(candidates) if unusable_reason(candidates[name], measure) is None
    }
    unusable = hold_reason(gate, rows) or _first_problem(usable or candidates, rival, measure)
    if unusable is not None:
        return held(unusable, rival.name, rows)
    algorithms = len(usable)
    known = {name: sanity(rows, scores, rival) for name, scores in usable.items()} if measure.of_volume else {}
    usable = {name: scores for name, scores in usable.items() if _is_sane(known.get(name), gate)} or usable
    whole, values = _values(rows, _scored(usable.values(), rival, measure), gate, seed)
    if values.shape[1] == 0:
        return held(f"no {gate.metric} in any resample", rival.name, rows)
    best = int(np.bincount((measure.sign * values[:-2]).argmax(axis=0)).argmax())
    gain, gains = (measure.sign * (of[best] - of[-2]) for of in (whole, values))
    gain_over_chance, gains_over_chance = (measure.sign * (of[best] - _bar(gate, of[-1])) for of in (whole, values))
    units = rows.units(measure, list(usable.values())[best], rival.scores)
    doubt = units, algorithms, rows.clusters.count if gate.resample != "row" else 0
    win_rate = float(np.mean(gains + (margin := rival.allowance(measure, float(whole[-2]))) > 0))
    below_bar = NO_BETTER_THAN_CHANCE if _bar(gate, whole[-1]) == whole[-1] else BELOW_THE_BAR
    verdict, reason = _verdict(win_rate, float(np.mean(gains_over_chance > 0)), below_bar, rival, margin, gate)
    low, high = sorted(measure.sign * float(point) for point in np.percentile(gains, INTERVAL))
    judgement = Judgement(
        verdict=verdict,
        reason=reason,
        against=rival.name,
        rule=rival.rule,
        algorithm=(chosen := list(usable)[best]),
        candidate_score=float(whole[best]),
        candidate_spread=float(np.std(values[best])),
        opponent_score=float(whole[-2]),
        chance_score=float(whole[-1]),
        win_rate=win_rate,
        low=low,
        high=high,
        p_value=p_value(float(gain) + margin, gains + margin, *doubt),
        chance_p_value=p_value(float(gain_over_chance), gains_over_chance, *doubt),
        resamples=values.shape[1],
        rows=len(rows.labels),
        positives=rows.positives,
        classes=rows.class_counts,
        clusters=rows.clusters.count,
    )
    return _without_labels(judgement, known[chosen], gate) if known else judgement


def _is_sane(known: Sanity | None, gate: Gate) -> bool:
    return known is None or known.problem(gate) is None


def _without_labels(judgement: Judgement, known: Sanity, gate: Gate) -> Judgement:
    """Return a judgement that says so, with what is known; who is not sane is rejected, and is no test among others."""
    problem = known.problem(gate)
    if problem is not None:
        judgement = replace(judgement, verdict="reject", reason=problem, p_value=None, chance_p_value=None)
    return replace(
        judgement,
        reason=f"{judgement.reason}{WITHOUT_LABELS}",
        alerts=known.alerts,
        agreement=known.agreement,
        report=known.report,
    )


def _scored(candidates: Iterable[NDArray[np.float64]], rival: Rival, measure: Measure) -> list[NDArray[np.float64]]:
    """Return the scores to compare: the candidates', the rival's, and those of what knows nothing.

    An answer that differs by rounding alone is the same answer. Its error would be smaller or larger by as little, but
    on every row alike, and nothing seems surer than that.
    """
    chance = np.full_like(rival.scores, rival.constant)
    if measure.of_ranks or measure.of_volume:
        return [*candidates, rival.scores, chance]
    opponent = _rounded_to(chance, rival.scores)
    return [*(_rounded_to(chance, _rounded_to(opponent, scores)) for scores in candidates), opponent, chance]


def _rounded_to(known: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores, each that is a known one but for rounding as that."""
    return np.where(np.abs(scores - known) <= ROUNDING * np.abs(known), known, scores)


def _values(
    rows: HeldOut, scores: Sequence[NDArray[np.float64]], gate: Gate, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the metric of each scores on all rows, (scores,), and on the resamples that define it for all of them."""
    metrics = [measure_of(gate).prepare(rows.labels, each, rows.clusters) for each in scores]
    whole = np.concatenate([metric(np.ones((1, rows.clusters.count), dtype=np.int32)) for metric in metrics])
    values = paired_bootstrap(metrics, rows.clusters, gate.resamples, seed)
    return whole, values[:, np.isfinite(values).all(axis=0)]


def _bar(gate: Gate, chance: Any) -> Any:
    """Return what must be surpassed beside the rival: what chance reaches, or `gate.at_least` where that is more."""
    if gate.at_least is None:
        return chance
    return (np.maximum if METRICS[gate.metric].higher_is_better else np.minimum)(chance, gate.at_least)


def _verdict(
    win_rate: float, over_chance: float, below_bar: str, rival: Rival, margin: float, gate: Gate
) -> tuple[Verdict, str]:
    """Return the verdict and its reason, of the shares of resamples won against the rival and against chance."""
    won, lost = REASONS[rival.rule]
    least = f" by {-margin:.3g}" if margin < 0 else ""
    if win_rate < gate.win_rate:
        return "reject", f"{lost} the {rival.name}{least}"
    if over_chance < gate.win_rate:
        return "reject", below_bar
    return "promote", f"{won} the {rival.name}{least}"


def hold_reason(gate: Gate, rows: HeldOut) -> str | None:
    """Return why these labelled rows cannot be judged on, or None when they can.

    `gate.min_rows` holds for every metric, and `gate.min_days` where days are drawn. Both classes, each with
    `gate.min_positives` rows, are asked for by those that are about classes: the two that rank, and log loss, which has
    a value on one class but none of the other. Of several classes, two with so many rows are asked for by the one that
    ranks.
    """
    count, positives, measure = len(rows.labels), rows.positives, METRICS[gate.metric]
    if count == 0:
        return "no rows to judge on" if measure.of_volume else "no labelled rows to judge on"
    if measure.of_shares and near_zero(rows.labels):
        return "labels too near zero for shares of them"
    if measure.of_classes and positives is not None:
        if positives in (0, count):
            return "only one class to judge on"
        if positives < gate.min_positives:
            return "too few positives to judge on"
        if count - positives < gate.min_positives:
            return "too few negatives to judge on"
    if rows.classes and rows.about_classes(measure):
        _, sizes = np.unique(rows.labels, return_counts=True)
        if np.count_nonzero(sizes >= gate.min_positives) < 2:
            return TOO_FEW_OF_CLASSES
    if count < gate.min_rows:
        return "too few rows to judge on"
    if gate.resample == "row" or rows.clusters.count >= gate.min_days:
        return None
    return f"too few {'days' if gate.resample == 'day' else 'values of gate.resample'} to judge on"


def near_zero(labels: Labels) -> bool:
    """Tell whether a label is so small beside the others that an error is a huge share of it, or a zero."""
    sizes = np.abs(labels.astype(np.float64))
    return bool(sizes.min() < NEAR_ZERO * np.median(sizes)) or not sizes.all()


def unusable_reason(scores: NDArray[np.float64], measure: Measure, probabilities: bool = True) -> str | None:
    """Return what keeps a metric from taking these scores, or None; `probabilities` tells whether they are meant so."""
    if not np.isfinite(scores).all():
        return "scores are not finite"
    each = scores.ndim == 2
    if (measure.of_probabilities or each) and not (probabilities and ((scores >= 0) & (scores <= 1)).all()):
        return "scores are no probabilities"
    if each and not np.allclose(scores.sum(axis=1), 1, atol=SUM_TO_ONE):
        return "scores are no probabilities"
    return None


def _first_problem(candidates: Mapping[str, NDArray[np.float64]], rival: Rival, measure: Measure) -> str | None:
    """Return what is wrong with the scores of the candidates, or else of their rival."""
    for name, scores in (*(("candidate", scores) for scores in candidates.values()), (rival.name, rival.scores)):
        if (reason := unusable_reason(scores, measure)) is not None:
            return f"the {name}'s {reason}"
    return None
