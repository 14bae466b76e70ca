"""Promotion group by group against an MLflow server: each group's own version, alias and row of the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from muster.champions import artifacts
from muster.champions.errors import ALIAS, AliasMoved
from muster.champions.in_store import champion_in_store
from muster.champions.model_artifact import ModelArtifact
from muster.champions.names import model_name
from muster.evaluation.model_scores import place_of
from muster.mlflow.budget import BudgetSpent, count
from muster.mlflow.client import connect
from muster.models.loading import check
from muster.promotion import promote
from muster.promotion.approval import Approval, NeedsApproval
from muster.promotion.promote import NotRegistered
from muster.promotion.proposal import propose
from muster.promotion.verdicts import read_verdicts
from tests.promotion.conftest import Killed, Line, dying, left_behind

pytestmark = pytest.mark.slow
WON = {"A,X": "promote", "B,X": "promote", "C,X": "reject"}


def name(line: Line, group: str) -> str:
    return model_name(line.name, group)


def at(line: Line, group: str) -> str | None:
    return line.position(group)


def state(line: Line, *groups: str) -> tuple[Any, ...]:
    """Return what must come out the same: versions, aliases, journal."""
    versions = {group: len(connect().search_model_versions(f"name = '{name(line, group)}'")) for group in groups}
    moves = [(row["group"], row["from_version"], row["to_version"], row["manifest_sha256"]) for row in line.moves]
    return versions, {group: at(line, group) for group in groups}, sorted(moves, key=str)


def test_each_winner_is_a_registered_model_with_signature_example_and_alias(grouped: Line) -> None:
    rows = [{"group": group, "a": 0.5, "b": 2.0, "record": 0.25} for group in ("A,X", "B,X")]
    grouped.features(grouped.first, rows)
    run = grouped.week(grouped.first, WON, 1.0)
    before = count()
    result = grouped.promote(grouped.first)
    calls = count() - before
    assert (result["moved"], result["promoted"], result["kept"], result["groups"]) == (True, 2, 0, 2)
    # A group: its registered model, eleven files, a version, where its alias is, before and after the move (two calls).
    assert calls == 2 * (1 + 11 + 1 + 2 + 2 + 1) + 2, calls
    assert left_behind(grouped) == []
    assert grouped.champion("C,X") is None
    for group in ("A,X", "B,X"):
        champion = grouped.champion(group)
        assert champion is not None
        assert (champion.version, champion.run, champion.partition) == ("1", run, grouped.first)
        kept = champion_in_store(grouped.at(grouped.second), group)  # whom `try` judges against, without MLflow
        assert kept is not None
        [stored] = kept.manifest.to_pylist()
        check(kept.files.read(*place_of(stored)), champion.digest, group, "")
        assert (stored["sha256"], kept.version_of(group)) == (champion.digest, "1")
        loaded = mlflow.pyfunc.load_model(f"models:/{name(grouped, group)}@{ALIAS}")
        assert loaded.metadata.signature.inputs.input_names() == ["a", "b", "record"]
        assert loaded.input_example.to_dict("records") == [{"a": 0.5, "b": 2, "record": 0.25}]
        rows = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)), columns=["a", "b", "record"])
        due = grouped.model(1.0).predict_proba(rows.to_numpy())[:, 1]
        np.testing.assert_array_equal(loaded.predict(rows)["score"], due)


def test_every_move_is_a_row_of_the_journal_in_one_commit(grouped: Line) -> None:
    run = grouped.week(grouped.first, WON, 1.0)
    grouped.promote(grouped.first, who="somebody")
    rows = grouped.moves
    moves = [
        (row["group"], row["from_version"], row["to_version"], row["cause"], row["who"], row["run"]) for row in rows
    ]
    assert sorted(moves) == [(group, None, "1", "gate", "somebody", run) for group in ("A,X", "B,X")]
    table = grouped.store.open("alias_journal")
    assert table is not None
    assert table.version() == 2  # made, moves, noted as made


def test_losers_keep_their_champions(grouped: Line) -> None:
    grouped.week(grouped.first, WON | {"C,X": "promote"}, 1.0)
    grouped.promote(grouped.first)
    grouped.week(grouped.second, WON | {"B,X": "hold"}, 2.0, {"A,X": "1", "B,X": "1", "C,X": "1"})
    result = grouped.promote(grouped.second)
    assert (result["promoted"], result["kept"], result["groups"]) == (1, 2, 3)
    assert [at(grouped, group) for group in ("A,X", "B,X", "C,X")] == ["2", "1", "1"]


def test_running_it_again_changes_nothing_and_asks_little(grouped: Line) -> None:
    grouped.week(grouped.first, WON, 1.0)
    grouped.promote(grouped.first)
    before, calls = state(grouped, *WON), count()
    result = grouped.promote(grouped.first)
    assert count() - calls <= 1
    assert (result["moved"], result["promoted"], result["stay"]) == (True, 2, 0)  # it says the same as the first time
    assert state(grouped, *WON) == before


STEPS = [
    (ModelArtifact, "upload"),
    (artifacts, "described"),
    (promote, "at_alias"),
]
"""The steps that a group has of its own; `test_conformance.py` breaks off at those of both registries."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_killed_anywhere_it_ends_the_same_when_run_again(
    grouped: Line, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    grouped.week(grouped.first, WON, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            grouped.promote(grouped.first)
    grouped.promote(grouped.first)
    versions, aliases, moves = state(grouped, *WON)
    assert versions == {"A,X": 1, "B,X": 1, "C,X": 0}
    assert aliases == {"A,X": "1", "B,X": "1", "C,X": None}
    assert [move[:3] for move in moves] == [("A,X", None, "1"), ("B,X", None, "1")]


def test_many_changed_champions_need_a_named_human_who_approved_exactly_these(grouped: Line) -> None:
    grouped.declared |= {"gate": {"baseline": "record", "max_changed": 0.4}}
    grouped.begin((grouped.first, WON, 1.0, None))
    run = grouped.week(grouped.second, WON | {"B,X": "hold"}, 2.0, {"A,X": "1", "B,X": "1"})
    context = grouped.at(grouped.second)
    proposal = propose(context, read_verdicts(context), grouped.journal)
    assert (proposal.changed, proposal.verdicts.run) == (0.5, run)
    with pytest.raises(NeedsApproval, match=r"50.0% of the champion's 2 groups would change"):
        grouped.promote(grouped.second)
    grouped.promote(grouped.second, approval=Approval("Ada", proposal.verdicts.digest))
    assert at(grouped, "A,X") == "2"
    assert '"approved_by": "Ada"' in grouped.moves[-1]["evidence"]
    assert grouped.promote(grouped.second)["moved"] is True  # by the approved move of before


def test_a_group_whose_alias_was_moved_stays_and_the_others_are_promoted(grouped: Line) -> None:
    grouped.begin((grouped.first, WON, 1.0, None))
    grouped.week(grouped.second, WON, 2.0, {"A,X": "1", "B,X": "1"})
    connect().delete_registered_model_alias(name(grouped, "B,X"), ALIAS)
    result = grouped.promote(grouped.second)
    assert (at(grouped, "A,X"), at(grouped, "B,X")) == ("2", None)
    assert "by the journal version 1 is: somebody removed the alias" in result["stay_why"]["B,X"]
    grouped.week(grouped.third, {"B,X": "promote"}, 3.0, {"B,X": "1"})
    with pytest.raises(AliasMoved, match="were made with version 1 as champion, Champion is now no version"):
        grouped.promote(grouped.third)


def test_a_partition_trained_anew_replaces_its_own_promotion(grouped: Line) -> None:
    grouped.begin((grouped.first, WON, 1.0, None), (grouped.second, WON, 2.0, {"A,X": "1", "B,X": "1"}))
    grouped.week(grouped.second, {"A,X": "promote"}, 3.0, {"A,X": "1"})
    assert grouped.promote(grouped.second)["promoted"] == 1
    assert (at(grouped, "A,X"), at(grouped, "B,X")) == ("3", "2")


def test_an_older_partition_does_not_replace_a_later_ones_champion(grouped: Line) -> None:
    grouped.week(grouped.second, WON, 1.0)
    grouped.promote(grouped.second)
    grouped.week(grouped.first, WON, 2.0)
    result = grouped.promote(grouped.first)
    assert (result["moved"], at(grouped, "A,X")) == (False, "1")
    assert "later partition" in result["stay_why"]["A,X"]


def test_one_groups_trouble_leaves_the_others_promoted_and_is_told(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped.week(grouped.first, WON, 1.0)
    own: Callable[..., Any] = promote.register

    def fails(artifact: Any) -> Any:
        if artifact.unit.group == "B,X":
            raise MlflowException("out of order")
        return own(artifact)

    with monkeypatch.context() as patched:
        patched.setattr(promote, "register", fails)
        with pytest.raises(NotRegistered, match="1 groups were not promoted: 'B,X': MlflowException: out of order"):
            grouped.promote(grouped.first)
    assert (at(grouped, "A,X"), at(grouped, "B,X")) == ("1", None)
    grouped.promote(grouped.first)
    assert (at(grouped, "A,X"), at(grouped, "B,X")) == ("1", "1")


def test_where_the_budget_is_spent_nothing_is_journalled_and_the_end_is_told(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    grouped.week(grouped.first, WON, 1.0)
    until = datetime(2030, 1, 1, tzinfo=UTC)

    def spent(*_: Any) -> None:
        raise BudgetSpent(until, "throttled by the server")

    with monkeypatch.context() as patched:
        patched.setattr(promote, "register", spent)
        with pytest.raises(BudgetSpent) as spent_error:
            grouped.promote(grouped.first)
    assert spent_error.value.until == until
    assert grouped.moves == []
    assert grouped.promote(grouped.first)["promoted"] == 2
