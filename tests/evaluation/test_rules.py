"""What a candidate must be: better than chance, better than its rival, or not worse by a margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Rival, Rule
from muster.evaluation.metrics import METRICS, measure_of
from muster.evaluation.verdict import judge
from muster.workload.spec import Gate

LABELS = (np.random.default_rng(0).random(400) < 0.3).astype(float)
NOISE = np.random.default_rng(1).normal(size=400)
OTHER = np.random.default_rng(2).normal(size=400)
GOOD = OTHER + 2 * LABELS


def judged(
    candidate: Any, rival: Any, rule: Rule = "better", margin: float = 0.0, labels: Any = LABELS, **gate: Any
) -> Judgement:
    declared = Gate.model_validate({"resample": "row", "resamples": 200, **gate})
    return judge(
        HeldOut(labels, Clusters.rows(len(labels))),
        {"a": candidate},
        Rival("champion", rival, float(labels.mean()), rule, margin),
        declared,
        seed=1,
    )


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_what_ranks_no_better_than_chance_is_not_promoted_though_it_beats_its_rival(metric: str) -> None:
    judgement = judged(NOISE - 0.3 * LABELS, NOISE - 2 * LABELS, metric=metric)
    assert judgement.win_rate == 1.0
    assert (judgement.verdict, judgement.reason) == ("reject", "does no better than chance")
    assert judgement.candidate_score is not None
    assert judgement.chance_score == pytest.approx(0.5 if metric == "roc_auc" else LABELS.mean())
    assert judgement.candidate_score < judgement.chance_score
    assert judged(GOOD, NOISE - 2 * LABELS, metric=metric).verdict == "promote"


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
def test_a_loss_must_be_less_than_that_of_the_prior(metric: str) -> None:
    """A candidate that shouts is better than a rival that shouts louder, and worse than to say nothing."""
    loud, louder = (np.clip(LABELS.mean() + size * NOISE, 0, 1) for size in (1, 3))
    judgement = judged(loud, louder, metric=metric)
    prior = np.sqrt(np.mean((LABELS - LABELS.mean()) ** 2))
    if metric == "log_loss":
        prior = -(LABELS.mean() * np.log(LABELS.mean()) + (1 - LABELS.mean()) * np.log(1 - LABELS.mean()))
    assert judgement.chance_score == pytest.approx(prior, rel=1e-12)
    assert (judgement.verdict, judgement.reason) == ("reject", "does no better than chance")
    assert judged(np.clip(0.3 + 0.3 * LABELS, 0, 1), louder, metric=metric).verdict == "promote"


def test_at_least_raises_the_bar() -> None:
    judgement = judged(OTHER + LABELS, NOISE)
    assert judgement.candidate_score is not None
    low, high = judgement.candidate_score - 0.15, judgement.candidate_score + 0.01
    assert (judgement.verdict, judged(OTHER + LABELS, NOISE, at_least=low).verdict) == ("promote", "promote")
    barred = judged(OTHER + LABELS, NOISE, at_least=high)
    assert (barred.verdict, barred.reason) == ("reject", "does not reach gate.at_least")
    assert judged(OTHER + LABELS, NOISE, at_least=0.3) == judgement  # less than chance asks for nothing
    nearly = judged(OTHER + LABELS, NOISE, at_least=judgement.candidate_score - 1e-6)
    assert (nearly.chance_p_value or 0) > 0.4 > (judgement.chance_p_value or 1)


@pytest.mark.parametrize("small", [0.0, 0.001, -0.001])
def test_shares_of_labels_near_zero_are_not_judged(small: float) -> None:
    labels = 50 + 5 * OTHER
    labels[7] = small
    gate = Gate(metric="mape", resample="row", resamples=200)
    numbers = HeldOut(labels, Clusters.rows(len(labels)), of_classes=False)
    judgement = judge(numbers, {"a": labels + NOISE}, Rival("baseline", labels * 0 + 50, 50.0), gate, seed=1)
    assert (judgement.verdict, judgement.reason) == ("hold", "labels too near zero for shares of them")
    assert judgement.positives is None
    labels[7] = 50
    assert judge(numbers, {"a": labels + NOISE}, Rival("baseline", labels * 0 + 50, 50.0), gate, seed=1).verdict == (
        "promote"
    )


def test_where_chance_is_the_stricter_bar_that_is_the_reason() -> None:
    predicted = np.full(len(LABELS), LABELS.mean())  # of log loss the best constant: no better than chance
    barred = judged(predicted, LABELS * 0.0 + 0.99, metric="log_loss", at_least=9.0)
    assert (barred.verdict, barred.reason) == ("reject", "does no better than chance")


def test_at_least_of_a_loss_is_a_value_that_it_must_be_under() -> None:
    predicted = LABELS + 0.3 * NOISE
    assert judged(predicted, LABELS + NOISE, metric="mae", at_least=0.29).verdict == "promote"
    assert judged(predicted, LABELS + NOISE, metric="mae", at_least=0.2).reason == "does not reach gate.at_least"


def test_not_worse_promotes_what_is_as_good_and_better_does_not() -> None:
    again = GOOD + 0.05 * NOISE
    assert judged(again, GOOD).verdict == "reject"
    judgement = judged(again, GOOD, "not_worse", 0.02)
    assert (judgement.verdict, judgement.reason, judgement.rule) == (
        "promote",
        "is not worse than the champion",
        "not_worse",
    )


def test_not_worse_rejects_what_may_be_worse_by_the_margin() -> None:
    worse = OTHER + 1.2 * LABELS
    judgement = judged(worse, GOOD, "not_worse", 0.02)
    assert (judgement.verdict, judgement.reason) == ("reject", "may be worse than the champion")
    assert judged(worse, GOOD, "not_worse", 0.4).verdict == "promote"


def test_the_margin_is_in_the_unit_of_a_loss_too() -> None:
    labels = NOISE * 20 + 50
    better, worse = labels + OTHER, labels + 1.5 * OTHER
    verdicts = [judged(worse, better, "not_worse", margin, labels, metric="mae").verdict for margin in (0.1, 1.0)]
    assert verdicts == ["reject", "promote"]


def test_what_is_not_worse_than_a_champion_that_is_no_better_than_chance_is_not_promoted() -> None:
    assert judged(NOISE, OTHER, "not_worse", 0.3).reason == "does no better than chance"


def test_the_evidence_is_of_the_difference_itself_whatever_the_margin() -> None:
    strict, lenient = judged(GOOD, OTHER + LABELS), judged(GOOD, OTHER + LABELS, "not_worse", 0.1)
    assert (strict.low, strict.high) == (lenient.low, lenient.high)
    assert (lenient.p_value or 0) < (strict.p_value or 0)


@pytest.mark.parametrize(("least", "verdict", "by"), [(0.05, "promote", "beats"), (0.2, "reject", "does not beat")])
def test_a_champion_must_be_beaten_by_the_least_gain(least: float, verdict: str, by: str) -> None:
    labels = NOISE * 2 + 50
    near, far = labels + 0.4 * OTHER, labels + 0.55 * OTHER
    plain = judged(near, far, labels=labels, metric="mae")
    judgement = judged(near, far, labels=labels, metric="mae", least_gain=least)
    assert (plain.verdict, judgement.verdict) == ("promote", verdict)
    assert judgement.reason == f"{by} the champion by {least:g}"
    assert (judgement.low, judgement.high) == (plain.low, plain.high)
    assert (judgement.p_value or 0) > (plain.p_value or 0)


def test_a_baseline_is_beaten_by_any_gain_and_an_old_champion_is_replaced_by_what_is_not_worse() -> None:
    measure = METRICS["mass_volume"]
    assert Rival("champion", GOOD, 0.5).allowance(measure, 0.5) == -0.02
    assert Rival("champion", GOOD, 0.5).allowance(measure, 0.001) == -0.00004
    assert Rival("baseline", GOOD, 0.5).allowance(measure, 0.5) == 0.0
    assert Rival("champion", GOOD, 0.5, "not_worse", 0.3).allowance(measure, 0.5) == 0.3


def test_without_labels_a_champion_is_beaten_by_more_than_two_fits_differ_unless_declared() -> None:
    gate = Gate.model_validate({"metric": "mass_volume", "alerts": (0.01, 0.1)})
    champion = Rival("champion", GOOD, 0.5)
    assert champion.allowance(measure_of(gate), 0.5) == -0.02
    for least in (0.0, 0.1):
        declared = measure_of(gate.model_copy(update={"least_gain": least}))
        assert champion.allowance(declared, 0.5) == -least


@pytest.mark.parametrize("metric", ["rmse", "mae", "pinball"])
@pytest.mark.parametrize("level", [0.0, 8.0, 1e9])
def test_an_answer_that_differs_by_rounding_alone_is_a_tie(metric: str, level: float) -> None:
    """A model of one leaf answers with the mean, summed in another order; where the level has moved since, its error is
    smaller than the baseline's on every row, by as little."""
    declared = {"quantile": 0.5} if metric == "pinball" else {}
    for seed in range(20):
        labels = np.random.default_rng(seed).gamma(4, 3, 300) + 20 + level
        mean = float(labels.mean() - 8)
        again = np.full(300, mean * (1 - 1e-12 * (-1) ** seed))
        for mine, other in ((again, np.full(300, mean)), (np.full(300, mean), again)):
            judgement = judge(
                HeldOut(labels, Clusters.equal(np.arange(300) % 14), of_classes=False),
                {"leaf": mine},
                Rival("baseline", other, mean),
                Gate.model_validate({"metric": metric, "resamples": 200, **declared}),
                seed,
            )
            assert (judgement.verdict, judgement.win_rate) == ("reject", 0.0)
            assert judgement.candidate_score == judgement.opponent_score == judgement.chance_score
