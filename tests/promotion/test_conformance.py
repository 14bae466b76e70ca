"""What both registries promise, one pack of all groups or a registered model for each: the same cases over both.

Some run on the real MLflow server too: a promotion and a rollback, each as a whole and broken off.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from muster.champions import alias, opened
from muster.champions.errors import ALIAS, AliasGone, AliasMoved, JournalGone, MoveUnderWay, NotVouched
from muster.champions.journal import Journal
from muster.champions.misplaced import misplaced
from muster.champions.opened import opponents
from muster.errors import UnknownName
from muster.mlflow.budget import count
from muster.mlflow.client import connect
from muster.promotion import promote as promotion
from muster.promotion import rollback
from muster.promotion.approval import Approval, NeedsApproval
from muster.promotion.rollback import MissingActorOrReason, roll_back
from muster.promotion.rollback_plan import CannotRollBack
from muster.promotion.verdicts import NotJudged, read_verdicts
from muster.scoring.score import CannotScore, NoChampionThen
from muster.settings import settings
from muster_jobs import score
from muster_jobs.job import Job
from tests.promotion.conftest import A, B, C, Killed, Line, Registry, dying
from tests.registry.which import ON_BOTH, ON_REAL

pytestmark = pytest.mark.slow
WON = {A: "promote", B: "promote", C: "reject"}


@ON_BOTH
def test_winners_become_champions_and_losers_do_not(registry: Registry) -> None:
    run = registry.week(registry.first, WON, 1.0)
    result = registry.promote(registry.first, who="somebody")
    assert (result["moved"], result["promoted"], result["kept"], result["groups"]) == (True, 2, 0, 2)
    assert registry.slopes(registry.first, A, B, C) == [1.0, 1.0, 0.0]
    rows = [(row["cause"], row["who"], row["run"], row["partition"]) for row in registry.moves]
    assert set(rows) == {("gate", "somebody", run, registry.first)}
    assert not registry.journal.pending


def test_the_next_champion_keeps_the_groups_that_did_not_win(registry: Registry) -> None:
    registry.two_weeks()
    assert registry.slopes(registry.second, A, B, C) == [2.0, 1.0, 1.0]


def test_a_slice_older_than_the_first_champion_is_not_scored_by_models_that_have_seen_it(registry: Registry) -> None:
    registry.week(registry.second, WON, 2.0)
    registry.promote(registry.second)
    with pytest.raises(NoChampionThen, match="no champion yet that is as old as the slice; one of a later partition"):
        registry.slopes(registry.first, A)
    result = score.run(Job("score", registry.at(registry.first), settings(), "try"))
    assert (result["rows"], "later partition has learnt from this slice's rows" in result["skipped_because"]) == (
        0,
        True,
    )
    assert registry.store.open("predictions") is None
    assert registry.slopes(registry.second, A) == [2.0]


def test_a_slice_is_scored_by_the_champion_of_its_own_time(registry: Registry) -> None:
    registry.two_weeks()
    assert registry.slopes(registry.first, A, B, C) == [1.0, 1.0, 1.0]
    assert registry.slopes(registry.third, A, B, C) == [2.0, 1.0, 1.0]


def test_candidates_are_judged_against_the_champion_of_before_their_partition(registry: Registry) -> None:
    registry.two_weeks()
    for partition, version in ((registry.third, "2"), (registry.second, "1")):
        champions = opponents(registry.at(partition))
        assert champions is not None
        with champions.open([A]) as opened:
            assert (opened.version or opened.versions.get(A)) == version


@pytest.mark.parametrize(
    "declared",
    [
        {"features": {"columns": ["b", "a", "record"], "buckets": 4}},
        {"keys": ["origin", "carrier"]},
        {"outcome": {"regression": {"column": "delay"}}},
    ],
)
def test_a_champion_of_other_keys_features_or_answers_is_no_opponent_and_is_replaced_by_what_wins(
    registry: Registry, declared: Any
) -> None:
    registry.two_weeks()
    registry.declared |= declared
    champions = opponents(registry.at(registry.third))
    assert champions is not None
    with champions.open([A, B]) as opened:
        incumbents = opened.incumbents(pa.array([A, B]))
    at = {group: registry.position(group) for group in (A, B)}
    assert incumbents.manifest.num_rows == 0
    assert {group: incumbents.version_of(group) for group in (A, B)} == at
    registry.week(registry.third, {A: "promote", B: "reject"}, 3.0, registry.judged(A=at[A], B=at[B]))
    assert registry.promote(registry.third)["moved"]
    assert registry.position(A) == "3"


@pytest.mark.parametrize("verdict", ["reject", "hold"])
def test_without_a_winner_nothing_moves(registry: Registry, verdict: str) -> None:
    run = registry.train(registry.first, {A: 1.0})
    registry.decide(registry.first, run, {A: verdict}, evidence={"reason": "as the gate found"})
    result = registry.promote(registry.first)
    counts = {"reject": "0 held, 1 rejected", "hold": "1 held, 0 rejected"}[verdict]
    reason = f"no group was promoted: {counts}, most for 'as the gate found'"
    assert (result["moved"], result["reason"], registry.moves) == (False, reason, [])
    with pytest.raises(CannotScore, match="there is no champion yet"):
        registry.slopes(registry.first, A)


@pytest.mark.parametrize(("mode", "reason"), [("dry_run", "mode is dry_run: 2 groups"), ("disabled", "is disabled")])
def test_a_gate_that_is_not_enabled_moves_nothing(registry: Registry, mode: str, reason: str) -> None:
    registry.declared |= {"gate": {"baseline": "record", "mode": mode}}
    registry.week(registry.first, WON, 1.0)
    result = registry.promote(registry.first)
    assert (result["moved"], registry.moves) == (False, [])
    assert reason in result["reason"]


def test_promoting_again_changes_nothing_and_says_the_same(registry: Registry) -> None:
    registry.week(registry.first, WON, 1.0)
    names = ("moved", "reason", "from_version", "to_version", "promoted", "kept", "groups", "stay", "mlflow_run_id")
    first = registry.promote(registry.first)
    rows = registry.moves
    again = registry.promote(registry.first)
    assert {name: again[name] for name in names} == {name: first[name] for name in names}
    assert (registry.moves, registry.versions(A, B)) == (rows, ["1", "1"])


def test_without_decisions_it_says_what_to_run(registry: Registry) -> None:
    with pytest.raises(NotJudged, match="run evaluate"):
        registry.promote(registry.first)


STEPS = [(promotion, "register"), (Journal, "append"), (promotion, "move_alias"), (Journal, "note_made")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_promotion_broken_off_anywhere_ends_the_same_when_run_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    _promote_broken_off(registry, monkeypatch, module, step, after)


@ON_REAL
def test_a_promotion_broken_off_on_the_real_server_ends_the_same(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    _promote_broken_off(registry, monkeypatch, promotion, "register", after=True)


def _promote_broken_off(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    registry.week(registry.first, WON, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            registry.promote(registry.first)
    assert registry.promote(registry.first)["moved"]
    assert registry.versions(A, B) == ["1", "1"]
    assert {row["to_version"] for row in registry.moves} == {"1"}
    assert len(registry.moves) == len({row["group"] for row in registry.moves})
    assert not registry.journal.pending
    for unit in {registry.unit(group) for group in (A, B)}:
        assert len(connect().search_model_versions(f"name = '{unit.name}'")) == 1


def test_verdicts_about_another_champion_are_refused(registry: Registry) -> None:
    registry.two_weeks()
    registry.week(registry.third, {A: "promote"}, 3.0, registry.judged(A="1"))
    with pytest.raises(AliasMoved, match=r"with version 1 as champion, Champion is now version 2"):
        registry.promote(registry.third)
    assert registry.slopes(registry.third, A) == [2.0]


def test_a_move_that_is_being_made_is_waited_for(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.week(registry.first, {A: "promote"}, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(promotion, "move_alias", dying(promotion.move_alias, after=False))
        with pytest.raises(Killed):
            registry.promote(registry.first)
    registry.week(registry.second, {A: "promote"}, 2.0, registry.judged(A=None))
    with pytest.raises(MoveUnderWay, match=registry.first):
        registry.promote(registry.second)
    monkeypatch.setattr(alias, "UNDER_WAY", alias.UNDER_WAY * 0)
    assert registry.promote(registry.second)["moved"]


def test_an_older_partition_does_not_replace_a_later_ones_champion(registry: Registry) -> None:
    registry.week(registry.second, WON, 2.0)
    registry.promote(registry.second)
    registry.week(registry.first, WON, 1.0, registry.judged(A=None, B=None))
    result = registry.promote(registry.first)
    assert (result["moved"], registry.versions(A, B)) == (False, ["1", "1"])
    assert f"of a later partition, {registry.second}" in json.dumps(result)


def test_a_partition_trained_again_replaces_its_own_promotion(registry: Registry) -> None:
    registry.two_weeks()
    run = registry.train(registry.second, {A: 2.5, B: 2.5})
    registry.decide(registry.second, run, {A: "promote", B: "reject"}, registry.judged(A="1", B="1"))
    assert registry.promote(registry.second)["promoted"] == 1
    assert registry.versions(A) == ["3"]


def test_more_change_than_declared_needs_a_human_who_approved_exactly_that(registry: Registry) -> None:
    registry.two_weeks()
    registry.declared |= {"gate": {"baseline": "record", "max_changed": 0.3}}
    registry.week(registry.third, {A: "promote", B: "promote"}, 3.0, registry.judged(A="2", B="1"))
    digest = read_verdicts(registry.at(registry.third)).digest
    with pytest.raises(NeedsApproval, match=rf"66.7% of the champion's 3 groups would change, .*={digest}"):
        registry.promote(registry.third)
    with pytest.raises(NeedsApproval, match="'ann' approved other verdicts"):
        registry.promote(registry.third, approval=Approval("ann", "0123"))
    result = registry.promote(registry.third, approval=Approval("ann", digest))
    assert (result["moved"], result["promoted"]) == (True, 2)
    assert json.loads(registry.moves[-1]["evidence"])["approved_by"] == "ann"


@ON_BOTH
def test_a_rollback_is_shown_first_then_made_and_undone(registry: Registry) -> None:
    registry.two_weeks()
    plan = registry.plan()
    assert (plan.difference["changes"], plan.difference["nothing_to_do"]) == (1, False)
    assert [change.group for change in plan.changes] == [A]
    assert registry.versions(A) == ["2"]
    result = roll_back(registry.context, plan, "ann", "bad scores")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "2", "1")
    row = registry.moves[-1]
    assert (row["cause"], row["who"], json.loads(row["evidence"])["why"]) == ("rollback", "ann", "bad scores")
    assert registry.slopes(registry.second, A, B, C) == [1.0, 1.0, 1.0]
    undone = registry.roll_back("2", [] if registry.workload.registry == "pack" else [A])
    assert (undone["moved"], registry.slopes(registry.second, A, B)) == (True, [2.0, 1.0])


def test_one_group_goes_back_and_the_others_stay(registry: Registry) -> None:
    registry.week(registry.first, WON, 1.0)
    registry.promote(registry.first)
    registry.week(registry.second, {A: "promote", B: "promote"}, 2.0, registry.judged(A="1", B="1"))
    registry.promote(registry.second)
    assert registry.roll_back(groups=[A])["moved"]
    assert registry.slopes(registry.third, A, B) == [1.0, 2.0]


def test_what_was_rolled_back_is_not_promoted_again_and_it_says_why(registry: Registry) -> None:
    registry.two_weeks()
    registry.roll_back()
    result = registry.promote(registry.second)
    assert (result["moved"], registry.slopes(registry.second, A)) == (False, [1.0])
    assert "ann moved the alias to version 1 (bad scores) since" in json.dumps(result)


def test_the_next_partition_is_judged_against_what_was_gone_back_to(registry: Registry) -> None:
    registry.two_weeks()
    registry.roll_back()
    registry.week(registry.third, {A: "promote"}, 3.0, registry.judged(A="1"))
    assert registry.promote(registry.third)["moved"]
    assert registry.slopes(registry.third, A) == [3.0]


BACK = [(Journal, "append"), (rollback, "move_alias"), (Journal, "note_made")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), BACK, ids=[step for _, step in BACK])
def test_a_rollback_broken_off_anywhere_ends_the_same_when_asked_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    _roll_back_broken_off(registry, monkeypatch, module, step, after)


@ON_REAL
def test_a_rollback_broken_off_on_the_real_server_ends_the_same(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    _roll_back_broken_off(registry, monkeypatch, rollback, "move_alias", after=True)


def _roll_back_broken_off(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    registry.two_weeks()
    against = registry.plan().against
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            registry.roll_back(against=against)
    result = registry.roll_back(against=against)
    assert (result["moved"], result["to_version"], registry.versions(A)) == (True, "1", ["1"])
    assert [row["cause"] for row in registry.moves].count("rollback") == 1
    assert not registry.journal.pending


def test_a_rollback_is_refused_where_the_champion_was_moved_since_it_was_compared(registry: Registry) -> None:
    registry.two_weeks()
    plan = registry.plan()
    connect().set_registered_model_alias(registry.unit(A).name, ALIAS, "1")
    with pytest.raises(AliasMoved, match=r"planned from version 2, Champion is now version 1; nothing was moved"):
        roll_back(registry.context, plan, "ann", "bad")
    with pytest.raises(AliasMoved, match="look again"):
        registry.plan(against=plan.against)


def test_a_move_by_hand_is_written_down_by_a_rollback_to_it(registry: Registry) -> None:
    registry.two_weeks()
    connect().set_registered_model_alias(registry.unit(A).name, ALIAS, "1")
    groups = [] if registry.workload.registry == "pack" else [A]
    assert registry.roll_back("1", groups)["moved"]
    assert [(row["from_version"], row["to_version"]) for row in registry.moves][-1] == ("2", "1")
    assert not registry.roll_back("1", groups)["moved"]


def _remove(registry: Registry, what: str) -> None:
    """Remove the alias of A's champion, its version, or all versions, as MLflow's own page does."""
    name, client = registry.unit(A).name, connect()
    if what == "alias":
        client.delete_registered_model_alias(name, ALIAS)
    for version in {"version": ["2"], "versions": ["2", "1"]}.get(what, []):
        client.delete_model_version(name, version)


@pytest.mark.parametrize("what", ["alias", "version", "versions"])
def test_a_champion_that_was_removed_by_hand_is_missed_and_comes_back_by_a_rollback(
    registry: Registry, what: str
) -> None:
    registry.two_weeks()
    registry.slopes(registry.third, A)
    _remove(registry, what)
    registry.week(registry.third, {A: "promote", B: "reject"}, 3.0, registry.judged(A=None, B="1"))
    with pytest.raises(AliasGone, match=rf"by the journal version 2 is: .*rollback {registry.name}"):
        registry.slopes(registry.third, A)
    with pytest.raises(AliasGone), nullcontext(opponents(registry.at(registry.third))) as champions:
        champions.open([A]).__enter__()
    with pytest.raises((AliasGone, AliasMoved), match="by the journal version 2 is: somebody removed"):
        registry.promote(registry.third)
    assert len(registry.moves) == (2 if registry.workload.registry == "pack" else 4)
    back = None if what == "versions" else "1"
    groups = [] if registry.workload.registry == "pack" else [A]
    assert registry.roll_back(back, groups)["from_version"] is None
    assert registry.slopes(registry.third, A, B, C) == [2.0 if back is None else 1.0, 1.0, 1.0]
    at = registry.position(A)
    registry.week(registry.third, {A: "promote", B: "reject"}, 3.0, registry.judged(A=at, B="1"))
    assert registry.promote(registry.third)["moved"]
    assert registry.slopes(registry.third, A, B, C) == [3.0, 1.0, 1.0]


def test_a_journal_that_is_lost_with_its_aliases_is_told_by_the_results_of_promote(registry: Registry) -> None:
    registry.two_weeks()
    results = Path(registry.store.uri(registry.store.results("promote")))
    results.mkdir(parents=True)
    for partition, moved in ((registry.first, True), (registry.second, True), (registry.third, False)):
        (results / f"{partition}-aa.json").write_text(json.dumps({"moved": moved}))
    for unit in {registry.unit(group) for group in (A, B, C)}:
        connect().delete_registered_model_alias(unit.name, ALIAS)
    Path(registry.store.table("alias_journal")).rename(registry.store.table("away"))
    stages: list[Callable[[], Any]] = [
        lambda: opponents(registry.at(registry.third)),
        lambda: registry.slopes(registry.third, A),
        lambda: registry.plan(),
    ]
    for stage in stages:
        with pytest.raises(JournalGone, match=f"has no move, but {registry.second} was promoted: restore that table"):
            stage()
    (error,) = misplaced(registry.store)
    assert f"{registry.second} was promoted" in str(error)
    results.rename(results.with_name("promote-before"))
    assert opponents(registry.at(registry.third)) is None
    assert misplaced(registry.store) == []


def test_a_lost_journal_is_no_lack_of_a_champion_and_comes_back(registry: Registry) -> None:
    registry.two_weeks()
    table = Path(registry.store.table("alias_journal"))
    table.rename(table.with_name("away"))
    stages: list[Callable[[], Any]] = [
        lambda: opponents(registry.at(registry.third)),
        lambda: registry.slopes(registry.third, A),
        lambda: registry.plan(),
        lambda: registry.plan("1", [A]),
    ]
    for stage in stages:
        with pytest.raises(JournalGone, match=r"alias_journal.* has no move of it: restore that table"):
            stage()
    shown = [str(error) for error in misplaced(registry.store)]  # so does `status`
    names = [unit.name for unit in {registry.unit(group) for group in (A, B, C)}]
    assert len(shown) == len(names)
    assert all(any(f"'{name}' is Champion, but alias_journal" in text for text in shown) for name in names)
    table.with_name("away").rename(table)
    assert registry.slopes(registry.third, A, B, C) == [2.0, 1.0, 1.0]
    assert misplaced(registry.store) == []


def test_an_older_copy_of_the_journal_is_refused_until_what_came_since_is_promoted_again(
    registry: Registry, tmp_path: Path
) -> None:
    """As `docs/operations.md` says: B's first champion and A's second are later than the copy."""
    registry.week(registry.first, {A: "promote", B: "reject", C: "promote"}, 1.0)
    registry.promote(registry.first)
    table = Path(registry.store.table("alias_journal"))
    copy = shutil.copytree(table, tmp_path / "copy")
    judged = registry.judged(A="1", B=None)
    run = registry.week(registry.second, {A: "promote", B: "promote"}, 2.0, judged)
    registry.promote(registry.second)
    assert registry.slopes(registry.third, A, B, C) == [2.0, 2.0, 1.0]
    registry.week(registry.third, {A: "promote"}, 3.0, registry.judged(A="2"))
    shutil.rmtree(table)
    copy.rename(table)

    pack = registry.workload.registry == "pack"
    stages: list[Callable[[], Any]] = [
        lambda: opponents(registry.at(registry.third)),
        lambda: registry.slopes(registry.third, C),
        lambda: registry.promote(registry.third),
        *([] if pack else [lambda: registry.plan(), lambda: registry.plan(None, [B])]),
    ]
    for stage in stages:
        with pytest.raises(
            (JournalGone, NotVouched, AliasMoved), match=r"has no move of it|knows of no move of the alias"
        ):
            stage()
    assert [error.short for error in misplaced(registry.store)] == (
        ["Champion was moved"] if pack else ["Champion was moved", "Champion is not journalled"]
    )

    if not pack:
        connect().delete_registered_model_alias(registry.unit(B).name, ALIAS)
    assert registry.roll_back(None, [] if pack else [A])["to_version"] == "1"
    assert registry.slopes(registry.third, A, B, C) == [1.0, 0.0, 1.0]
    registry.decide(registry.second, run, {A: "promote", B: "promote"}, judged)
    assert registry.promote(registry.second)["moved"]
    assert registry.slopes(registry.third, A, B, C) == [2.0, 2.0, 1.0]
    assert misplaced(registry.store) == []


def test_that_the_journal_knows_all_champions_costs_one_call_however_many_groups_there_are(grouped: Line) -> None:
    registry = Registry(grouped.root, grouped.declared, grouped.name)
    registry.two_weeks()
    before = count()
    assert opponents(registry.at(registry.third)) is not None
    assert count() - before == 1


def test_where_nobody_was_ever_champion_nothing_is_missed(registry: Registry) -> None:
    other = Registry(registry.root, registry.declared, f"{registry.name}_2")
    registry.two_weeks()
    for line in (other, Registry(registry.root, registry.declared)):
        assert (opponents(line.at(line.third)), misplaced(line.store)) == (None, [])
        with pytest.raises(CannotRollBack, match="there is no champion yet"):
            line.plan()


def test_the_journal_of_a_first_promotion_made_meanwhile_is_not_missed(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(grouped.root, grouped.declared, grouped.name)
    before = registry.journal
    registry.two_weeks()
    monkeypatch.setattr(opened, "Journal", lambda *_: before)
    assert opponents(registry.at(registry.third)) is None


@pytest.mark.parametrize("what", ["alias", "version"])
def test_who_puts_a_removed_champion_back_has_chosen_no_other_models_than_the_partitions(
    registry: Registry, what: str
) -> None:
    registry.two_weeks()
    _remove(registry, what)
    groups = [] if registry.workload.registry == "pack" else [A]
    assert registry.roll_back("2", groups)["moved"]
    assert registry.slopes(registry.third, A) == [2.0]
    run = registry.week(registry.second, {A: "promote", B: "reject"}, 3.0, registry.judged(A="1", B="1"))
    assert registry.promote(registry.second)["moved"]
    assert (registry.moves[-1]["run"], registry.moves[-1]["cause"]) == (run, "gate")


@pytest.mark.parametrize("what", ["alias", "version"])
def test_what_was_promoted_is_so_still_once_its_champion_was_removed_and_put_back(
    registry: Registry, what: str
) -> None:
    registry.two_weeks()
    first = registry.promote(registry.second)
    _remove(registry, what)
    registry.roll_back("2", [] if registry.workload.registry == "pack" else [A])
    rows = registry.moves
    again = registry.promote(registry.second)
    names = ("moved", "reason", "from_version", "promoted", "kept", "groups", "stay")
    assert {name: again[name] for name in names} == {name: first[name] for name in names}
    assert again["to_version"] in (registry.position(A), None)
    assert registry.moves == rows


@pytest.mark.parametrize("removed", [False, True])
def test_models_that_the_gate_has_replaced_may_come_back_whoever_put_them_back_before(
    registry: Registry, removed: bool
) -> None:
    registry.two_weeks()
    if removed:
        _remove(registry, "alias")
        registry.roll_back("2", [] if registry.workload.registry == "pack" else [A])
    registry.week(registry.second, {A: "promote", B: "reject"}, 3.0, registry.judged(A="1", B="1"))
    assert registry.promote(registry.second)["moved"]
    registry.week(registry.second, {A: "promote"}, 2.0, registry.judged(A="1"))  # another run, the same bytes
    assert registry.promote(registry.second)["moved"]
    assert registry.slopes(registry.second, A) == [2.0]


@ON_BOTH
def test_a_registered_model_deleted_whole_comes_back_and_each_week_keeps_its_champion(registry: Registry) -> None:
    """Numbers begin at 1 again: by them alone, the third week's champion would be the first week's."""
    registry.two_weeks()
    registry.week(registry.third, {A: "promote", B: "reject", C: "hold"}, 3.0, registry.judged(A="2", B="1", C="1"))
    registry.promote(registry.third)
    weeks = (registry.first, registry.second, registry.third)
    assert [registry.slopes(week, A) for week in weeks] == [[1.0], [2.0], [3.0]]
    connect().delete_registered_model(registry.unit(A).name)
    groups = [] if registry.workload.registry == "pack" else [A]

    assert registry.roll_back(None, groups)["moved"]
    assert registry.versions(A) == ["1"]
    assert [registry.slopes(week, A, B) for week in weeks] == [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]
    assert _judged_against(registry, registry.third) == 2.0
    for slope, version in ((2.0, "2"), (1.0, "3")):
        assert registry.roll_back(None, groups)["moved"]
        assert (registry.versions(A), registry.slopes(registry.third, A, B)) == ([version], [slope, 1.0])
    with pytest.raises(CannotRollBack, match="there was no champion before"):
        registry.roll_back(None, groups)
    assert registry.roll_back("1", groups)["moved"]
    assert registry.slopes(registry.third, A, B) == [3.0, 1.0]


def _judged_against(registry: Registry, partition: str) -> float:
    """Return the slope of the model that A's candidate is judged against, when it is judged now."""
    champions = opponents(registry.at(partition))
    assert champions is not None
    with champions.open([A]) as pack:
        return float(pack.reader(1_000_000).model(A).coef_[0, 0])


def test_a_first_promotion_that_is_not_known_to_be_made_leaves_no_champion_to_miss(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.week(registry.first, {A: "promote"}, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(promotion, "move_alias", dying(promotion.move_alias, after=False))
        with pytest.raises(Killed):
            registry.promote(registry.first)
    with pytest.raises(CannotScore, match="no champion yet") if registry.workload.registry == "pack" else nullcontext():
        assert registry.slopes(registry.second, A) == [0.0]


def test_what_cannot_be_meant_is_refused(registry: Registry) -> None:
    with pytest.raises(CannotRollBack, match="there is no champion yet"):
        registry.plan()
    registry.two_weeks()
    groups = [] if registry.workload.registry == "pack" else [A]
    with pytest.raises(UnknownName, match=r"version '9'; there is: 1, 2$"):
        registry.plan("9", groups)
    with pytest.raises(MissingActorOrReason, match="'why'"):
        roll_back(registry.context, registry.plan(), "ann", " ")
    registry.roll_back()
    with pytest.raises(CannotRollBack, match="there was no champion before"):
        registry.roll_back()
    assert len([row for row in registry.moves if row["cause"] == "rollback"]) == 1
