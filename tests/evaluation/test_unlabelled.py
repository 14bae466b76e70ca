"""The gate without labels: a volume, sane alerts, ranks like the champion's; and labels that decide nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Rival
from muster.evaluation.sanity import FEW_ALERTS, MANY_ALERTS, OTHER_RANKS, WITHOUT_LABELS
from muster.evaluation.verdict import judge
from muster.evaluation.volume import with_points
from muster.workload.spec import Gate

ROWS = with_points(np.random.default_rng(0).normal(size=(600, 2)), 1)
DAYS = Clusters.equal(np.arange(600) // 25)
FAR = np.linalg.norm(ROWS, axis=1)
"""Scores that tell what is far from the middle: what is unusual here."""
LABELS = (FAR[:600] > 2.5).astype(float)


def judged(candidates: dict[str, np.ndarray], rival: Rival | None = None, labels: Any = None, **gate: Any) -> Judgement:
    held_out = HeldOut(np.full(600, np.nan) if labels is None else labels, DAYS, of_classes=False)
    declared = {"metric": "mass_volume", "alerts": (0.01, 0.1), "resamples": 300, **gate}
    constant = Rival("baseline", np.zeros(len(ROWS)), 0.0)
    return judge(held_out, candidates, rival or constant, Gate.model_validate(declared), 3)


def champion(scores: np.ndarray) -> Rival:
    return Rival("champion", scores, 0.0)


def test_a_model_of_small_volume_and_sane_alerts_is_promoted_and_the_reason_says_without_labels() -> None:
    verdict = judged({"far": FAR - 2.5})
    assert (verdict.verdict, verdict.reason) == ("promote", f"beats the baseline{WITHOUT_LABELS}")
    assert verdict.alerts == pytest.approx(np.mean(FAR[:600] > 2.5))
    assert (verdict.positives, verdict.rows, verdict.clusters) == (None, 600, 24)
    assert (verdict.opponent_score, verdict.chance_score) == pytest.approx((0.95, 0.95))
    assert verdict.candidate_score is not None
    assert verdict.candidate_score < 0.8
    assert verdict.agreement is None
    assert verdict.report is None


def test_who_ranks_at_random_is_no_better_than_what_knows_nothing() -> None:
    random = np.random.default_rng(4).random(len(ROWS)) - 0.95
    verdict = judged({"random": random})
    assert verdict.verdict == "reject"
    assert verdict.reason.endswith(WITHOUT_LABELS)


@pytest.mark.parametrize(("threshold", "reason"), [(9.0, FEW_ALERTS), (1.0, MANY_ALERTS)])
def test_alerts_out_of_what_is_declared_are_a_rejection_that_is_no_test(threshold: float, reason: str) -> None:
    verdict = judged({"far": FAR - threshold})
    assert (verdict.verdict, verdict.reason) == ("reject", reason + WITHOUT_LABELS)
    assert (verdict.p_value, verdict.chance_p_value) == (None, None)
    assert verdict.candidate_score is not None


def test_a_sane_algorithm_is_chosen_before_a_better_one_that_is_not() -> None:
    blurred = FAR + np.random.default_rng(5).normal(0, 0.2, len(FAR))
    verdict = judged({"everything": FAR, "sane": blurred - 2.5})
    assert (verdict.algorithm, verdict.verdict) == ("sane", "promote")
    alone = judged({"sane": blurred - 2.5})
    assert verdict.p_value == pytest.approx(2 * float(alone.p_value or 0))  # two were tried


def test_ranks_unlike_the_champions_are_a_rejection_where_agreement_is_declared() -> None:
    blurred = FAR + np.random.default_rng(7).normal(size=len(ROWS))
    rival = champion(np.random.default_rng(6).random(len(ROWS)))
    free, bound = judged({"far": FAR - 2.5}, rival), judged({"far": FAR - 2.5}, rival, agreement=0.5)
    assert free.verdict == "promote"
    assert free.agreement == pytest.approx(0, abs=0.1)
    assert (bound.verdict, bound.reason) == ("reject", OTHER_RANKS + WITHOUT_LABELS)
    like = judged({"far": FAR - 2.5}, champion(blurred), agreement=0.3)
    assert like.reason != OTHER_RANKS + WITHOUT_LABELS
    assert like.agreement == pytest.approx(_spearman(FAR[:600], blurred[:600]))


def test_of_a_champion_that_scores_all_alike_no_agreement_is_known() -> None:
    assert judged({"far": FAR - 2.5}, champion(np.zeros(len(ROWS))), agreement=0.9).agreement is None


def test_labels_are_counted_and_decide_nothing() -> None:
    known = LABELS.copy()
    known[:100] = np.nan
    with_labels, wrong = judged({"far": FAR - 2.0}, labels=known), judged({"far": FAR - 2.0}, labels=1 - known)
    plain = judged({"far": FAR - 2.0})
    assert with_labels.report is not None
    counts = json.loads(with_labels.report)
    alerts = FAR[:600] > 2.0
    assert counts == {
        "labelled": 500,
        "positives": int(np.nansum(known)),
        "alerts": int(alerts[100:].sum()),
        "caught": int((alerts & (known == 1)).sum()),
    }
    for other in (with_labels, wrong):
        evidence = {name: value for name, value in vars(other).items() if name != "report"}
        assert evidence == {name: value for name, value in vars(plain).items() if name != "report"}


def test_nothing_to_judge_on_is_a_hold() -> None:
    nothing = HeldOut(np.empty(0), Clusters.rows(0), of_classes=False)
    gate = Gate.model_validate({"metric": "mass_volume", "alerts": (0, 1)})
    verdict = judge(nothing, {"far": np.empty(0)}, Rival("baseline", np.empty(0), 0.0), gate, 1)
    assert (verdict.verdict, verdict.reason) == ("hold", "no rows to judge on")
    few = HeldOut(np.full(30, np.nan), Clusters.equal(np.arange(30) // 10), of_classes=False)
    scores = np.arange(2030.0)
    verdict = judge(few, {"far": scores}, Rival("baseline", scores, 0.0), gate, 1)
    assert (verdict.verdict, verdict.reason) == ("hold", "too few days to judge on")


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(of)) for of in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])
