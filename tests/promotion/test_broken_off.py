"""What was broken off and what comes between: a move is finished, never made again, and never by other verdicts.

And a workload whose `registry` was changed: what each of the two registries left behind does not disturb the other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from muster.champions import alias, artifacts
from muster.champions.errors import ALIAS, AliasMoved
from muster.champions.journal import Journal
from muster.champions.opened import scorers
from muster.mlflow.client import connect
from muster.promotion import promote
from muster.promotion.promote import NotRegistered
from tests.promotion.conftest import Killed, Line, dying

pytestmark = pytest.mark.slow
A, B, C = "A,X", "B,X", "C,X"
WON = {A: "promote", B: "promote"}


@pytest.fixture(params=["pack", "per_group"])
def registry(grouped: Line, request: pytest.FixtureRequest) -> Line:
    grouped.declared |= {"registry": request.param}
    return grouped


def journalled_only(line: Line, partition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promote, killed between the journal and the alias; ten minutes later."""
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", dying(Journal.append, after=True))
        with pytest.raises(Killed):
            line.promote(partition)
    monkeypatch.setattr(alias, "UNDER_WAY", timedelta(0))


def first_version(line: Line) -> Any:
    """Return what decisions against the first champions name: a pack's version, or each group's."""
    return "1" if line.declared["registry"] == "pack" else dict.fromkeys(WON, "1")


def versions(line: Line, partition: str, *groups: str) -> list[str | None]:
    """Return the versions that score a slice."""
    champions = scorers(line.at(partition))
    assert champions is not None
    with champions.open(groups) as opened:
        return [opened.version or opened.versions.get(group) for group in groups]


def test_what_other_verdicts_have_journalled_is_not_carried_out(
    registry: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.begin((registry.first, WON, 1.0, None))
    against = first_version(registry)
    run = registry.week(registry.second, WON, 2.0, against)
    journalled_only(registry, registry.second, monkeypatch)
    registry.decide(registry.second, run, dict.fromkeys(WON, "reject"), against)
    result = registry.promote(registry.second)
    assert (result["moved"], result["reason"]) == (False, "no group was promoted: 0 held, 2 rejected")
    assert [registry.position(group) for group in WON] == ["1", "1"]


def test_another_promotion_between_hides_no_unfinished_move(grouped: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    grouped.week(grouped.first, WON, 1.0)
    journalled_only(grouped, grouped.first, monkeypatch)
    grouped.week(grouped.second, {C: "promote"}, 2.0)
    assert grouped.promote(grouped.second)["moved"]
    assert [grouped.position(group) for group in (A, B, C)] == [None, None, "1"]
    result = grouped.promote(grouped.first)
    assert (result["moved"], result["promoted"]) == (True, 2)
    assert [grouped.position(group) for group in (A, B, C)] == ["1", "1", "1"]
    assert not grouped.journal.pending


def test_made_moves_are_noted_though_another_group_could_not_be_registered(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped.begin((grouped.first, WON, 1.0, None))
    grouped.week(grouped.second, WON, 2.0, dict.fromkeys(WON, "1"))
    register = promote.register

    def fails(artifact: Any) -> Any:
        if artifact.unit.group == B:
            raise MlflowException("out of order")
        return register(artifact)

    with monkeypatch.context() as patched:
        patched.setattr(promote, "register", fails)
        with pytest.raises(NotRegistered):
            grouped.promote(grouped.second)
    assert not grouped.journal.pending
    connect().set_registered_model_alias(grouped.unit(A).name, ALIAS, "1")  # a hand that the journal does not know
    grouped.promote(grouped.second)
    assert [grouped.position(group) for group in (A, B)] == ["1", "2"]


def test_the_same_rollback_asked_for_again_goes_one_further_back(grouped: Line) -> None:
    won = {A: "promote"}
    grouped.begin((grouped.first, won, 1.0, None), (grouped.second, won, 2.0, {A: "1"}))
    grouped.week(grouped.third, won, 3.0, {A: "2"})
    grouped.promote(grouped.third)
    assert [grouped.roll_back(groups=[A]) and grouped.position(A) for _ in range(2)] == ["2", "1"]


def test_from_packs_to_a_model_a_group(grouped: Line) -> None:
    grouped.declared |= {"registry": "pack"}
    for partition, slope, against in ((grouped.first, 1.0, None), (grouped.second, 2.0, "1")):
        grouped.week(partition, {A: "promote"}, slope, against)
        grouped.promote(partition)
    grouped.roll_back()
    grouped.declared |= {"registry": "per_group"}
    grouped.week(grouped.third, {A: "promote"}, 3.0)
    grouped.promote(grouped.third)
    assert scorers(grouped.at(grouped.second)) is None
    assert versions(grouped, grouped.third, A) == ["1"]
    with pytest.raises(Exception, match="there was no champion before"):
        grouped.plan()


def test_from_a_model_a_group_to_packs(grouped: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    grouped.week(grouped.first, WON, 1.0)
    journalled_only(grouped, grouped.first, monkeypatch)
    grouped.declared |= {"registry": "pack"}
    grouped.week(grouped.second, WON, 2.0)
    assert grouped.promote(grouped.second)["to_version"] == "1"
    assert {row["group"] for row in grouped.journal.pending} == {A, B}  # the pack's own is made
    assert versions(grouped, grouped.second, A) == ["1"]


def test_a_rollback_of_groups_that_were_moved_since_names_the_workload(grouped: Line) -> None:
    won = {A: "promote"}
    grouped.begin((grouped.first, won, 1.0, None), (grouped.second, won, 2.0, {A: "1"}))
    seen = grouped.plan(groups=[A]).against
    grouped.week(grouped.third, {A: "promote"}, 3.0, {A: "2"})
    grouped.promote(grouped.third)
    with pytest.raises(AliasMoved, match=f"champions of '{grouped.name}' were moved since this rollback was planned"):
        grouped.plan(groups=[A], against=seen)


def test_verdicts_that_were_overtaken_while_they_were_registered_move_nothing(
    registry: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion that slept through a newer training, judging and promotion of its own partition."""
    registry.begin((registry.first, WON, 1.0, None))
    against = first_version(registry)
    registry.week(registry.second, WON, 2.0, against)
    build = promote.artifacts

    def overtaken(*arguments: Any) -> Any:
        built = build(*arguments)
        with monkeypatch.context() as patched:
            patched.setattr(promote, "artifacts", build)
            registry.week(registry.second, WON | {C: "reject"}, 3.0, against)  # another run, of one group more
            registry.promote(registry.second)
        return built

    with monkeypatch.context() as patched:
        patched.setattr(promote, "artifacts", overtaken)
        with pytest.raises(AliasMoved):
            registry.promote(registry.second)
    assert [registry.position(group) for group in WON] == ["2", "2"]
    assert len(registry.moves) == len({(move["group"], move["to_version"]) for move in registry.moves})


MOMENTS = [(promote, "artifacts"), (artifacts, "_create_model"), (Journal, "append")]


@pytest.mark.parametrize(("module", "step"), MOMENTS, ids=[step for _, step in MOMENTS])
def test_two_that_carry_out_the_same_verdicts_say_the_same_and_leave_one_version(
    registry: Line, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    registry.week(registry.first, WON, 1.0)
    own, results = getattr(module, step), []

    def overtaken(*arguments: Any) -> Any:
        if not results:
            with monkeypatch.context() as patched:
                patched.setattr(module, step, own)
                results.append(registry.promote(registry.first))
        return own(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, step, overtaken)
        results.append(registry.promote(registry.first))
    names = ("moved", "reason", "from_version", "to_version", "promoted", "kept", "groups")
    assert results[0]["moved"]
    assert {name: results[0][name] for name in names} == {name: results[1][name] for name in names}
    assert len(registry.moves) == len({(move["group"], move["to_version"]) for move in registry.moves})
    for group in WON:
        name = registry.unit(group).name
        assert len(connect().search_model_versions(f"name = '{name}'")) == 1, name
