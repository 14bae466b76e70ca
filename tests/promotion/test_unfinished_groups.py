"""One group's move that never ends is no trouble of the others'; and what a later attempt makes of an earlier one's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from muster.champions import alias
from muster.champions.errors import ALIAS
from muster.champions.journal import Journal
from muster.champions.lineage import champion_of
from muster.mlflow.client import connect
from muster.promotion import promote
from muster.promotion.promote import NotRegistered
from muster.promotion.rollback_plan import CannotRollBack
from tests.promotion.conftest import Killed, Line, dying

pytestmark = pytest.mark.slow
A, B, C = "A,X", "B,X", "C,X"
WON = {A: "promote", B: "promote"}


def killed_after_the_journal(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Any]) -> None:
    """Do what moves aliases, killed before the first; ten minutes later."""
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", dying(Journal.append, after=True))
        with pytest.raises(Killed):
            what()
    monkeypatch.setattr(alias, "UNDER_WAY", timedelta(0))


def failing_for(monkeypatch: pytest.MonkeyPatch, line: Line, partition: str, step: str, group: str) -> None:
    """Promote a partition while MLflow refuses one step of one group."""
    own = getattr(promote, step)

    def fails(item: Any) -> Any:
        if item.unit.group == group:
            raise MlflowException("out of order")
        return own(item)

    with monkeypatch.context() as patched:
        patched.setattr(promote, step, fails)
        with pytest.raises(NotRegistered, match=f"1 groups were not promoted: '{group}'"):
            line.promote(partition)


@pytest.fixture
def two(grouped: Line) -> Line:
    """A and B promoted in two weeks."""
    grouped.begin((grouped.first, WON, 1.0, None), (grouped.second, WON, 2.0, dict.fromkeys(WON, "1")))
    return grouped


@pytest.fixture
def a_open(grouped: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A's second move is journalled, never made, and judged away; B was promoted in the third week too."""
    grouped.begin((grouped.first, WON, 1.0, None))
    run = grouped.week(grouped.second, {A: "promote"}, 2.0, {A: "1"})
    killed_after_the_journal(monkeypatch, lambda: grouped.promote(grouped.second))
    grouped.decide(grouped.second, run, {A: "reject"}, {A: "1"})
    grouped.week(grouped.third, {B: "promote"}, 3.0, {B: "1"})
    assert grouped.promote(grouped.third)["moved"]
    return grouped


def test_a_hand_move_stays_though_another_groups_move_was_never_made(a_open: Line) -> None:
    assert [row["group"] for row in a_open.journal.pending] == [A]
    connect().set_registered_model_alias(a_open.unit(B).name, ALIAS, "1")
    a_open.promote(a_open.third)
    assert a_open.position(B) == "1"


def test_each_rollback_moves_though_another_groups_move_was_never_made(a_open: Line) -> None:
    a_open.week(fourth := "2024-02-26", {B: "promote"}, 4.0, {B: "2"})
    a_open.promote(fourth)
    assert [a_open.roll_back(groups=[B])["moved"] and a_open.position(B) for _ in range(2)] == ["2", "1"]
    assert [row["group"] for row in a_open.journal.pending] == [A]


def test_a_move_of_the_group_itself_ends_what_was_never_made(a_open: Line) -> None:
    a_open.week(fourth := "2024-02-26", {A: "promote"}, 4.0, {A: "1"})
    assert a_open.promote(fourth)["moved"]
    assert not a_open.journal.pending
    assert champion_of(a_open.journal.of_group(A)) == a_open.position(A) == "3"


def test_a_model_that_a_human_took_back_stays_so_though_it_was_trained_again_to_the_same_bytes(two: Line) -> None:
    run = two.train(two.second, {A: 2.0, B: 2.5, C: 1.0})
    assert run != two.moves[-1]["run"]
    two.decide(two.second, run, WON, dict.fromkeys(WON, "1"))
    result = two.promote(two.second)
    assert (result["promoted"], two.position(A), two.position(B)) == (2, "2", "3")
    two.roll_back("1", [A])
    two.roll_back("1", [B])
    result = two.promote(two.second)
    assert (result["moved"], two.position(A), two.position(B)) == (False, "1", "1")
    assert "ann moved the alias to version 1 (bad scores) since" in result["stay_why"][A]


def test_the_same_bytes_trained_again_are_carried_out_and_those_of_before_another_run_return(two: Line) -> None:
    for number, (slope, at) in enumerate(((2.0, "2"), (2.5, "3"), (2.0, "2")), start=3):
        run = two.train(two.second, {A: slope, **{f"Z{n},X": 1.0 for n in range(number)}})
        two.decide(two.second, run, {A: "promote"}, {A: "1"})
        result = two.promote(two.second)
        assert (result["moved"], result["promoted"], two.position(A)) == (True, 1, at)


def test_a_rollback_that_was_broken_off_is_ended_after_another_groups_promotion(
    two: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after_the_journal(monkeypatch, two.roll_back)
    two.week(two.third, {C: "promote"}, 3.0)
    two.promote(two.third)
    result = two.roll_back()
    assert (result["moved"], result["changes"], two.position(A), two.position(B)) == (True, 2, "1", "1")
    assert ([row["cause"] for row in two.moves].count("rollback"), two.journal.pending) == (2, [])
    with pytest.raises(CannotRollBack, match="there was no champion before"):
        two.roll_back()


def test_what_this_run_has_promoted_is_no_change_to_its_next_attempt(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped.declared |= {"gate": {"baseline": "record", "max_changed": 0.5}}
    grouped.week(grouped.first, WON, 1.0)
    failing_for(monkeypatch, grouped, grouped.first, "register", B)
    assert grouped.promote(grouped.first)["promoted"] == 2
    assert [grouped.position(group) for group in WON] == ["1", "1"]


@pytest.mark.parametrize("step", ["register", "move_alias"])
def test_the_attempt_that_ends_it_says_and_logs_what_an_unbroken_one_would(
    two: Line, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    two.week(two.third, {**WON, C: "promote"}, 3.0, {A: "2", B: "2"})
    connect().set_registered_model_alias(two.unit(A).name, ALIAS, "1")
    failing_for(monkeypatch, two, two.third, step, B)
    result = two.promote(two.third)
    same = {"moved": True, "promoted": 2, "kept": 1, "groups": 3, "stay": 1}
    assert {name: result[name] for name in (*same, "reason")} == {**same, "reason": None}
    assert list(result["stay_why"]) == [A]
    logged = connect().get_run(result["mlflow_run_id"]).data.metrics
    assert (logged["pack_promoted"], logged["pack_kept"]) == (2, 1)


def test_an_alias_that_another_moved_right_after_is_read_back_and_left(two: Line) -> None:
    unit, client = two.unit(A), connect()
    client.set_registered_model_alias(unit.name, ALIAS, "1")
    own = client.set_registered_model_alias

    def overtaken(name: str, of: str, version: str) -> None:
        own(name, of, version)
        own(name, of, "1")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(client), "set_registered_model_alias", lambda _, *named: overtaken(*named))
        left = alias.move_alias(alias.AliasMove(unit, "1", "2"))
    assert (left, two.position(A)) == ("the alias was moved by another right after", "1")


def test_where_nothing_is_new_the_groups_are_said_to_be_promoted_before(two: Line) -> None:
    two.roll_back("1", [A])
    result = two.promote(two.second)
    assert (result["moved"], result["stay_why"][B]) == (False, "promoted before")
