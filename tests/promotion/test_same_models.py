"""The same models come again, in another partition or another run, or others under the same run's name.

What counts are bytes and the week that they were promoted for, whatever a version's number, tags or run's name say.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from unittest import mock

import pytest

from muster import groups
from muster.champions.opened import Champions, opponents, scorers
from muster.champions.versions import PARTITION, TAKES
from muster.mlflow.client import connect
from muster.promotion import rollback_plan
from muster.promotion.verdicts import NotJudged
from tests.promotion.conftest import A, B, C, Registry

pytestmark = pytest.mark.slow


def _slope(champions: Champions | None) -> float:
    assert champions is not None
    with champions.open([A]) as pack:
        return float(pack.reader(1_000_000).model(A).coef_[0, 0])


def _three_weeks(registry: Registry) -> None:
    """Promote models of which those of the third week have the very bytes of the first week's."""
    registry.two_weeks()
    registry.week(registry.third, {A: "promote"}, 1.0, registry.judged(A="2"))
    assert registry.promote(registry.third)["moved"]


def _named(run: int) -> AbstractContextManager[object]:
    return mock.patch.object(groups, "seed", return_value=run << 32)


def test_a_correction_that_was_wrong_and_is_put_right_has_its_first_models_again(registry: Registry) -> None:
    registry.two_weeks()
    for run, slope in ((0xAAAAAAAA, 4.0), (0xBBBBBBBB, 5.0), (0xAAAAAAAA, 4.0)):
        with _named(run):
            registry.week(registry.second, {A: "promote"}, slope, registry.judged(A="1"))
        assert registry.promote(registry.second)["moved"]
        assert _slope(scorers(registry.at(registry.second))) == slope
    registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
    assert _slope(scorers(registry.at(registry.second))) == 2.0  # of what the first of these runs has replaced


def test_what_a_human_took_back_stays_so_however_often_the_data_change(registry: Registry) -> None:
    registry.two_weeks()
    with _named(0xAAAAAAAA):
        registry.week(registry.second, {A: "promote"}, 4.0, registry.judged(A="1"))
    assert registry.promote(registry.second)["moved"]
    registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
    with _named(0xAAAAAAAA):
        registry.week(registry.second, {A: "promote"}, 4.0, registry.judged(A="1"))
    assert not registry.promote(registry.second)["moved"]


def test_models_of_the_same_bytes_are_each_of_their_own_week(registry: Registry) -> None:
    _three_weeks(registry)
    weeks = [registry.at(week) for week in (registry.first, registry.second, registry.third)]
    assert [_slope(scorers(week)) for week in weeks] == [1.0, 2.0, 1.0]
    assert [_slope(opponents(week)) for week in weeks[1:]] == [1.0, 2.0]
    champion = registry.champion(A)
    assert champion is not None
    assert champion.partition == registry.third
    registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
    assert (registry.versions(A), _slope(scorers(weeks[2]))) == (["2"], 2.0)
    registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
    assert _slope(scorers(weeks[2])) == 1.0


def test_tags_that_somebody_edits_do_not_decide_who_scores(registry: Registry) -> None:
    registry.two_weeks()
    name = registry.unit(A).name
    for tag, text in ((PARTITION, registry.first), (TAKES, "other")):
        connect().set_model_version_tag(name, "2", tag, text)
    assert _slope(scorers(registry.at(registry.first))) == 1.0
    assert _slope(opponents(registry.at(registry.third))) == 2.0


def test_models_that_were_never_judged_are_not_promoted_under_their_runs_name(registry: Registry) -> None:
    """As of an estimator without a seed, trained again on the same rows: the run has its name, other bytes."""
    registry.two_weeks()
    run = registry.week(registry.third, {A: "promote"}, 3.0, registry.judged(A="2"))
    assert registry.train(registry.third, {A: 7.0}) == run
    with pytest.raises(NotJudged, match=f"trained again since, to other models of '{A}'; run evaluate"):
        registry.promote(registry.third)
    assert registry.versions(A) == ["2"]
    for slope in (7.0, 8.0):
        assert registry.week(registry.third, {A: "promote"}, slope, registry.judged(A="2")) == run
        assert registry.promote(registry.third)["moved"]
        assert _slope(scorers(registry.at(registry.third))) == slope


def test_a_rollback_of_many_groups_writes_no_list_of_all_with_each(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_plan, "SHOWN", 1)
    registry.week(registry.first, dict.fromkeys((A, B, C), "promote"), 1.0)
    registry.promote(registry.first)
    registry.week(registry.second, {A: "promote", B: "promote"}, 2.0, registry.judged(A="1", B="1"))
    registry.promote(registry.second)
    against = registry.plan(None, [A, B]).against
    assert registry.roll_back(None, [A, B], against)["moved"]
    assert '"groups": ["2 groups, ' in registry.moves[-1]["evidence"]
    assert registry.plan(None, [A, B], against).begun  # known again


def test_a_winner_that_is_the_champions_very_model_moves_nothing_and_is_no_error(registry: Registry) -> None:
    """As a gate of `not_worse` lets it through."""
    registry.begin((registry.first, {A: "promote"}, 1.0, None))
    registry.week(registry.second, {A: "promote"}, 1.0, registry.judged(A="1"))
    result = registry.promote(registry.second)
    if registry.workload.registry == "pack":  # a later partition's pack is another, whatever its models
        assert result["moved"]
    else:
        why = "the alias is at version 1 already, the winner's very bytes"
        assert (result["moved"], result["reason"]) == (False, why)
    registry.week(registry.third, {A: "promote"}, 3.0, registry.judged(A=registry.position(A)))
    assert registry.promote(registry.third)["moved"]


def test_groups_go_back_together_however_the_version_became_champion_again(registry: Registry) -> None:
    registry.two_weeks()
    registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
    registry.week(registry.third, {B: "promote"}, 3.0, registry.judged(B="1"))
    registry.promote(registry.third)
    registry.roll_back("2", [A])
    assert registry.slopes(registry.third, A, B, C) == [2.0, 3.0, 1.0]
    registry.roll_back(None, [A, B])
    assert registry.slopes(registry.third, A, B, C) == [1.0, 1.0, 1.0]


def test_a_champion_whose_version_was_deleted_comes_back_by_the_number_that_it_has_now(registry: Registry) -> None:
    registry.two_weeks()
    connect().delete_model_version(registry.unit(A).name, "1")
    registry.week(registry.third, {A: "promote"}, 1.0, registry.judged(A="2"))
    assert registry.promote(registry.third)["moved"]
    for slope in (2.0, 1.0):
        registry.roll_back(None, [] if registry.workload.registry == "pack" else [A])
        assert _slope(scorers(registry.at(registry.third))) == slope
    champion = registry.champion(A)
    assert champion is not None
    assert champion.partition == registry.first
