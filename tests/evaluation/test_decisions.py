"""A run's decisions: reconciled with the ledger, and summed up."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from muster.errors import bounded
from muster.evaluation.decisions import (
    ChampionCodeMissing,
    CorruptCandidates,
    CorruptChampion,
    DecisionsNotReconciled,
    notes,
    reconcile,
    summary,
)
from muster.evaluation.model_scores import CORRUPT_CANDIDATE, CORRUPT_CHAMPION, NO_CODE_OF_CHAMPION
from muster.evaluation.significance import DOUBT
from muster.storage.tables import DECISIONS
from muster.workload.spec import Gate, Workload
from tests.evaluation.conftest import WORKLOAD

MADE = Workload.model_validate(WORKLOAD)
GROUPED = MADE.model_copy(update={"registry": "per_group"})


def decisions(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in DECISIONS.names} for row in rows], schema=DECISIONS)


def ledger(*groups: str) -> pa.Table:
    return pa.table({"group": pa.array(groups, pa.string())})


def test_one_decision_a_group_reconciles() -> None:
    reconcile(MADE, decisions({"group": "b"}, {"group": "a"}), ledger("a", "b"))


@pytest.mark.parametrize("decided", [["a"], ["a", "b", "c"], ["a", "a", "b"], ["a", "c"]])
def test_a_group_missing_twice_or_from_nowhere_is_refused(decided: list[str]) -> None:
    with pytest.raises(DecisionsNotReconciled, match=r"'[abc]'"):
        reconcile(MADE, decisions(*({"group": group} for group in decided)), ledger("a", "b"))


def test_a_corrupt_champion_refuses_the_run_and_names_its_groups() -> None:
    rows = decisions(
        {"group": "a", "reason": CORRUPT_CHAMPION, "champion_version": "7"},
        {"group": "b", "reason": "beats the champion"},
    )
    with pytest.raises(
        CorruptChampion,
        match=rf"champion version 7: the models of 1 groups .* 'a'; nothing was decided: .* rollback {MADE.name}`",
    ):
        reconcile(MADE, rows, ledger("a", "b"))


def test_corrupt_models_of_several_groups_own_champions_are_named_with_all_their_versions() -> None:
    rows = decisions(
        *(
            {"group": group, "reason": CORRUPT_CHAMPION, "champion_version": at}
            for group, at in zip("ab", "72", strict=True)
        )
    )
    with pytest.raises(
        CorruptChampion,
        match=r"champion version 2, 7: the models of 2 .* 'a', 'b'; .* --group 'a' --to 7` uploads .* --to present`",
    ):
        reconcile(GROUPED, rows, ledger("a", "b"))


@pytest.mark.parametrize("workload", [MADE, GROUPED], ids=["pack", "per group"])
def test_a_champion_whose_code_is_gone_refuses_the_run_and_names_class_and_groups(workload: Workload) -> None:
    rows = [{"group": group, "reason": f"{NO_CODE_OF_CHAMPION}acme.old:Mine"} for group in "ab"]
    back = "" if workload is MADE else " --group 'a'"
    message = rf"models of 2 groups are made of 'acme.old:Mine', .*: 'a', 'b'; .* rollback {MADE.name}{back}`; then eva"
    with pytest.raises(ChampionCodeMissing, match=message):
        reconcile(workload, decisions(*rows, {"group": "c", "reason": None}), ledger("a", "b", "c"))


def test_candidates_that_are_not_what_was_trained_refuse_the_run_and_are_named_in_one_line() -> None:
    rows = decisions({"group": "a\nb", "reason": CORRUPT_CANDIDATE, "run": "r1"}, {"group": "b", "run": "r1"})
    with pytest.raises(CorruptCandidates, match=r"run r1: the models of 1 groups .*: 'a\\nb'; nothing was decided"):
        reconcile(MADE, rows, ledger("a\nb", "b"))


def test_what_is_listed_is_a_line_and_keeps_its_end() -> None:
    assert bounded(["a\nb", f"{'x' * 400} (7)"]) == f"a\\nb, {'x' * 400} (7)"


def test_the_summary_tells_what_serves_before_and_after() -> None:
    version = {"champion_version": "7"}
    figures = summary(
        decisions(
            version
            | {"verdict": "promote", "candidate_score": 0.9, "champion_score": 0.7, "baseline_score": 0.5}
            | {"algorithm": "forest", "q_value": 0.03, "metric": "roc_auc"},
            version
            | {"reason": f"beats the champion{DOUBT}"}
            | {"verdict": "reject", "candidate_score": 0.6, "champion_score": 0.8, "baseline_score": 0.5},
            version
            | {"verdict": "promote", "candidate_score": 0.8, "baseline_score": 0.6}
            | {"algorithm": "forest", "q_value": 0.06},
            version | {"verdict": "hold", "reason": "too few positives to judge on"},
        ),
        Gate(),
    )
    assert figures == {
        "groups": 4,
        "promote": 2,
        "hold": 1,
        "reject": 1,
        "judged": 3,
        "reasons": {"too few positives to judge on": 1},
        "rejected_as_chance": 1,
        "false_promotion_rate": 0.06,
        "algorithms": {"forest": 2},
        "metric": "roc_auc",
        "score_before": pytest.approx((0.7 + 0.8 + 0.6) / 3),
        "score_after": pytest.approx((0.9 + 0.8 + 0.8) / 3),
        "score_baseline": pytest.approx((0.5 + 0.5 + 0.6) / 3),
        "baseline_worse_than_chance": 0,
    }


def judged(**row: Any) -> dict[str, Any]:
    return {"verdict": "reject", "reason": "does not beat the baseline", "chance_score": 0.5, **row}


@pytest.mark.parametrize(("metric", "worse"), [("roc_auc", 2), ("mae", 1)])
def test_a_baseline_that_is_mostly_worse_than_chance_is_told(metric: str, worse: int) -> None:
    rows = decisions(*(judged(baseline_score=score) for score in (0.4, 0.46, 0.6)), {"verdict": "hold"})
    gate = Gate.model_validate({"metric": metric, "baseline": "record"})
    counts = summary(rows, gate)
    assert counts["baseline_worse_than_chance"] == worse
    expected = ["the baseline 'record' is worse than chance for 2 of 3 judged groups: "]
    told = [note[: len(expected[0])] for note in notes(counts, rows, gate)]
    assert told == (expected if worse == 2 else [])


def test_old_champions_are_counted_and_named() -> None:
    runs = {"a": "2024-01-01-0a0a0a0a", "b": "2024-01-08-0a0a0a0a", "c": None, "d": "2023-12-04-0a0a0a0a"}
    rows = decisions(*(judged(group=group, partition="2024-03-04", champion_run=run) for group, run in runs.items()))
    gate = Gate.model_validate({"max_age": "56d", "margin": 0.01})
    counts = summary(rows, gate)
    assert counts["old_champions"] == 2
    assert list(notes(counts, rows, gate)) == ["2 groups have a champion older than 56 days: 'a', 'd'"]
    assert "old_champions" not in summary(rows, Gate())


def test_without_a_champion_nothing_served_before() -> None:
    figures = summary(decisions({"verdict": "promote", "candidate_score": 0.9, "baseline_score": 0.5}), Gate())
    assert (figures["score_before"], figures["score_after"], figures["score_baseline"]) == (None, 0.9, 0.5)


def test_a_run_in_which_nothing_could_be_judged_has_no_scores() -> None:
    figures = summary(decisions({"verdict": "hold", "reason": "the candidate is skipped"}), Gate())
    assert (figures["judged"], figures["score_before"], figures["score_after"], figures["score_baseline"]) == (
        0,
        None,
        None,
        None,
    )
