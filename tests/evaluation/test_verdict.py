"""The verdict: promote, reject, hold."""

from __future__ import annotations

import numpy as np
import pytest

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Opponent, Rival
from muster.evaluation.verdict import hold_reason, judge
from muster.workload.spec import Gate

GATE = Gate(resample="row", resamples=200, min_positives=5, min_rows=10)
LABELS = np.random.default_rng(0).random(200) < 0.3
NOISE = np.random.default_rng(1).random(200)
GOOD = NOISE + LABELS


def rows_of(labels: np.ndarray) -> HeldOut:
    return HeldOut(labels, Clusters.rows(len(labels)))


def judged(
    labels: np.ndarray,
    candidates: dict[str, np.ndarray],
    opponent: np.ndarray,
    against: Opponent,
    gate: Gate,
    seed: int,
) -> Judgement:
    """Judge with each row by itself, a prior of a half, and the rule `better`."""
    return judge(rows_of(labels), candidates, Rival(against, opponent, 0.5), gate, seed)


def test_a_candidate_that_wins_nearly_always_is_promoted_with_its_evidence() -> None:
    judgement = judged(LABELS, {"a": GOOD}, NOISE, "champion", GATE, seed=1)
    assert (judgement.verdict, judgement.reason) == ("promote", "beats the champion")
    assert judgement.candidate_score is not None
    assert judgement.opponent_score is not None
    assert judgement.low is not None
    assert judgement.high is not None
    assert 0 < judgement.low < judgement.candidate_score - judgement.opponent_score < judgement.high
    assert (judgement.win_rate, judgement.resamples, judgement.rows, judgement.positives) == (
        1.0,
        200,
        200,
        int(LABELS.sum()),
    )


def test_a_candidate_that_loses_is_rejected() -> None:
    judgement = judged(LABELS, {"a": NOISE}, GOOD, "champion", GATE, seed=1)
    assert (judgement.verdict, judgement.reason, judgement.win_rate) == ("reject", "does not beat the champion", 0.0)


def test_a_tie_is_no_win() -> None:
    judgement = judged(LABELS, {"a": GOOD}, GOOD * 3, "champion", GATE, seed=1)
    assert (judgement.verdict, judgement.win_rate, judgement.low, judgement.high) == ("reject", 0.0, 0.0, 0.0)


def test_winning_on_exactly_the_declared_share_is_enough() -> None:
    better, worse = np.random.default_rng(2).random(200) + 0.5 * LABELS, NOISE + 0.4 * LABELS
    judgement = judged(LABELS, {"a": better}, worse, "champion", GATE, seed=1)
    assert judgement.win_rate is not None
    assert 0.5 < judgement.win_rate < 1
    exact = GATE.model_copy(update={"win_rate": judgement.win_rate})
    above = GATE.model_copy(update={"win_rate": judgement.win_rate + 1e-9})
    assert judged(LABELS, {"a": better}, worse, "champion", exact, seed=1).verdict == "promote"
    assert judged(LABELS, {"a": better}, worse, "champion", above, seed=1).verdict == "reject"


def test_only_defined_resamples_count() -> None:
    labels = np.array([True] + [False] * 11)
    gate = GATE.model_copy(update={"min_positives": 1})
    judgement = judged(labels, {"a": labels.astype(float)}, np.zeros(12), "baseline", gate, seed=1)
    assert 0 < judgement.resamples < 200
    assert (judgement.verdict, judgement.win_rate) == ("promote", 1.0)


@pytest.mark.parametrize(
    ("rows", "positives", "reason"),
    [
        (0, 0, "no labelled rows to judge on"),
        (50, 0, "only one class to judge on"),
        (50, 50, "only one class to judge on"),
        (9, 0, "only one class to judge on"),
        (50, 4, "too few positives to judge on"),
        (50, 46, "too few negatives to judge on"),
        (9, 5, "too few negatives to judge on"),
        (10, 5, None),
    ],
)
def test_what_cannot_be_judged_is_held(rows: int, positives: int, reason: str | None) -> None:
    labels = np.arange(rows) < positives
    assert hold_reason(GATE, rows_of(labels)) == reason
    judgement = judged(labels, {"a": labels.astype(float)}, np.zeros(rows), "baseline", GATE, seed=1)
    assert (judgement.verdict == "hold") == (reason is not None)
    assert (judgement.rows, judgement.positives) == (rows, positives)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_held(value: float) -> None:
    broken = np.where(np.arange(200) == 7, value, GOOD)
    assert judged(LABELS, {"a": broken}, NOISE, "champion", GATE, 1).reason == "the candidate's scores are not finite"
    assert judged(LABELS, {"a": NOISE}, broken, "champion", GATE, 1).reason == "the champion's scores are not finite"


def test_the_same_seed_gives_the_same_evidence_and_another_seed_other_resamples() -> None:
    better = NOISE + 0.1 * LABELS
    first, again, other = (judged(LABELS, {"a": better}, NOISE, "champion", GATE, seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_models_that_are_equally_good_are_promoted_about_as_often_as_the_win_rate_says() -> None:
    """At a win rate of 0.9, chance promotes about a tenth: the bootstrap's one-sided level."""
    random = np.random.default_rng(4)
    promoted = 0
    for seed in range(200):
        labels = random.random(150) < 0.4
        first, second = random.normal(size=(2, 150)) + labels
        promoted += judged(labels, {"a": first}, second, "champion", GATE, seed).verdict == "promote"
    assert 5 <= promoted <= 40


def test_the_best_of_several_algorithms_is_chosen_and_judged() -> None:
    candidates = {"b": GOOD, "a": NOISE + 0.3 * LABELS, "c": -GOOD}
    judgement = judged(LABELS, candidates, NOISE, "champion", GATE, seed=1)
    alone = judged(LABELS, {"b": GOOD}, NOISE, "champion", GATE, seed=1)
    assert (judgement.algorithm, judgement.verdict) == ("b", "promote")
    assert (judgement.candidate_score, judgement.low, judgement.win_rate) == (
        alone.candidate_score,
        alone.low,
        alone.win_rate,
    )


def test_the_first_by_name_is_chosen_among_equals() -> None:
    judgement = judged(LABELS, {"z": GOOD, "m": GOOD * 2, "n": NOISE}, NOISE, "champion", GATE, seed=1)
    assert judgement.algorithm == "m"


def test_an_algorithm_whose_scores_are_not_finite_is_out_of_the_choice() -> None:
    broken = np.where(np.arange(200) == 7, np.nan, GOOD)
    assert judged(LABELS, {"a": broken, "b": GOOD}, NOISE, "champion", GATE, seed=1).algorithm == "b"


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_errors_are_judged_on_rows_whatever_their_classes(metric: str) -> None:
    gate = GATE.model_copy(update={"metric": metric})
    assert [hold_reason(gate, rows_of(np.zeros(rows))) for rows in (0, 9, 10)] == [
        "no labelled rows to judge on",
        "too few rows to judge on",
        None,
    ]
    labels = np.random.default_rng(0).normal(50, 20, size=200)
    judgement = judged(labels, {"a": labels + NOISE}, labels + 2 * NOISE, "champion", gate, seed=1)
    assert (judgement.verdict, judgement.win_rate) == ("promote", 1.0)
    assert judgement.candidate_score is not None
    assert judgement.opponent_score is not None
    assert 0 < judgement.candidate_score < judgement.opponent_score


def test_few_rows_are_held_for_every_metric() -> None:
    gate = Gate(resample="row", min_positives=1, min_rows=20)
    reasons = [hold_reason(gate, rows_of(np.arange(rows) < 9)) for rows in (19, 20)]
    assert tuple(reasons) == ("too few rows to judge on", None)


def test_scores_that_are_no_probabilities_are_held_for_log_loss() -> None:
    gate = GATE.model_copy(update={"metric": "log_loss"})
    inside = np.clip(NOISE, 0, 1)
    for candidates, opponent, name in (({"a": GOOD}, inside, "candidate"), ({"a": inside}, GOOD, "champion")):
        judgement = judged(LABELS, candidates, opponent, "champion", gate, seed=1)
        assert (judgement.verdict, judgement.reason) == ("hold", f"the {name}'s scores are no probabilities")
    assert judged(LABELS, {"a": GOOD, "b": inside}, inside / 2, "champion", gate, seed=1).algorithm == "b"


def test_the_best_by_a_loss_is_the_one_with_the_least() -> None:
    gate = GATE.model_copy(update={"metric": "mae"})
    candidates = {"a": LABELS + 0.4 * NOISE, "b": LABELS + 0.2 * NOISE, "c": LABELS + 0.8 * NOISE}
    judgement = judged(LABELS, candidates, LABELS + 0.6 * NOISE, "champion", gate, seed=1)
    assert (judgement.algorithm, judgement.verdict) == ("b", "promote")
