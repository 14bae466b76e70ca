"""Rolling back against an MLflow server: what is shown, what is moved, what is refused, what a crash leaves."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from muster.champions import pack_artifact
from muster.champions.errors import AliasMoved
from muster.champions.journal import Journal
from muster.errors import MusterError, UnknownName
from muster.mlflow import budget
from muster.mlflow.client import connect
from muster.models.build import incumbents
from muster.models.manifest_reader import MANIFEST_FILE
from muster.promotion import rollback
from muster.promotion.difference_text import view
from muster.promotion.rollback import MissingActorOrReason, roll_back
from muster.promotion.rollback_plan import CannotRollBack, NoSuchGroups
from tests.packs import shards_of
from tests.promotion.conftest import Killed, dying
from tests.promotion.history import Line, by_hand, promoted, slopes, three_weeks, version_of, versions
from tests.registry.which import ON_BOTH

pytestmark = pytest.mark.slow


def _roll_back(line: Line, version: str | None = None, groups: Any = (), **more: Any) -> dict[str, Any]:
    return line.roll_back(version, groups, **more)


def _state(line: Line) -> tuple[Any, ...]:
    packs = sorted(path.name for path in Path(line.store.uri(line.store.packs)).glob("*champion*"))
    return line.champion(), len(versions(line)), len(line.moves), packs


def test_the_whole_pack_goes_back_to_before_the_last_promotion(served: Line) -> None:
    three_weeks(served)
    result = _roll_back(served)
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "3", "2")
    assert slopes(served) == {"A,X": 2.0, "B,X": 1.0}
    row = served.moves[-1]
    assert (row["cause"], row["who"], row["partition"]) == ("rollback", "ann", served.second)
    evidence = json.loads(row["evidence"])
    assert (evidence["why"], evidence["changes"], evidence["disappears"]) == ("bad scores", 1, 1)
    assert len(versions(served)) == 3


def test_a_look_changes_nothing_and_says_what_would_change(served: Line) -> None:
    runs = three_weeks(served)
    before = _state(served)
    difference = served.plan("1").difference
    assert _state(served) == before
    assert (difference["from_version"], difference["to_version"], difference["groups"]) == ("3", "1", 2)
    assert (difference["changes"], difference["appears"], difference["disappears"]) == (2, 0, 1)
    changed = {change["group"]: change for change in difference["shown"]}
    model = {"origin_run": runs[1], "origin_partition": served.second, "algorithm": "logistic"}
    assert changed["A,X"]["before"] == model
    assert changed["A,X"]["after"]["origin_run"] == runs[0]
    assert (changed["C,X"]["change"], changed["C,X"]["after"]) == ("disappears", None)
    assert difference["fallback"] == "baseline"


def test_scores_are_compared_on_the_same_rows_or_not_at_all(served: Line) -> None:
    runs = three_weeks(served)
    judged = {"champion_run": runs[0], "candidate_score": 0.75, "champion_score": 0.72, "rows": 40}
    served.decide(served.second, runs[1], {"A,X": "promote"}, "1", evidence=judged)
    served.decide(served.third, runs[2], {"B,X": "promote"}, "2", evidence=judged | {"champion_run": "another"})
    rows = {"metric": "roc_auc", "partition": served.second, "rows": 40}
    difference = served.plan("1").difference
    compared = {row["group"]: row["compared"] for row in difference["shown"]}
    assert compared == {"A,X": {"before": 0.75, "after": 0.72, **rows}, "B,X": None, "C,X": None}
    view("made", difference, out := StringIO())
    shown = {line.split()[0]: line for line in out.getvalue().splitlines() if ",X" in line}
    assert re.search(r"0.75\s+0.72\s+version 1", shown["A,X"])
    assert "not comparable" in shown["B,X"]
    assert "of both models on the same rows" in out.getvalue()
    _roll_back(served, "1")
    (again,) = [row for row in served.plan("3").difference["shown"] if row["group"] == "A,X"]
    assert again["compared"] == {"before": 0.72, "after": 0.75, **rows}


def test_a_group_goes_back_to_the_model_it_had_and_the_others_stay(served: Line) -> None:
    three_weeks(served)
    result = _roll_back(served, groups=["B,X"])
    assert (result["to_version"], result["changes"]) == ("4", 1)
    assert slopes(served) == {"A,X": 2.0, "B,X": 1.0, "C,X": 3.0}
    made = served.champion()
    stored = [_stored(served, number) for number in ("1", "3", "4")]
    assert stored[2] == {**stored[1], "B,X": stored[0]["B,X"]}
    assert made.partition == served.third
    assert versions(served)[0].tags["muster.rolled_back_from"] == "3"


def _stored(line: Line, version: str) -> dict[str, str]:
    pack = version_of(line, version)
    rows = incumbents(line.store, pack.place, pack.digest).to_pylist()
    return {row["group"]: row["sha256"] for row in rows}


def test_each_group_comes_from_the_version_before_its_own_model(served: Line) -> None:
    three_weeks(served)
    plan = served.plan(groups=["A,X", "B,X", "C,X"])
    taken = {change.group: (change.change, change.taken_from) for change in plan.changes}
    assert taken == {"A,X": ("changes", "1"), "B,X": ("changes", "2"), "C,X": ("disappears", "2")}
    assert plan.difference["taken_from"] == {"1": 1, "2": 2}


def test_a_group_that_had_no_model_is_answered_for_by_the_fallback(served: Line) -> None:
    three_weeks(served)
    _roll_back(served, "1", ["C,X"])
    assert slopes(served) == {"A,X": 2.0, "B,X": 3.0}


def test_a_rollback_is_undone_by_rolling_back_to_the_newer_version(served: Line) -> None:
    three_weeks(served)
    _roll_back(served, "1")
    assert _roll_back(served, "3")["to_version"] == "3"
    _roll_back(served, groups=["B,X"])
    assert _roll_back(served, "3", ["B,X"])["to_version"] == "3"  # the same pack is the same version
    assert slopes(served) == {"A,X": 2.0, "B,X": 3.0, "C,X": 3.0}
    assert len(versions(served)) == 4


def test_going_back_twice_goes_further_back_each_time(served: Line) -> None:
    three_weeks(served)
    assert [_roll_back(served)["to_version"] for _ in range(2)] == ["2", "1"]
    with pytest.raises(CannotRollBack, match="there was no champion before version 1"):
        _roll_back(served)
    with pytest.raises(CannotRollBack, match=r"before the models of 1 group: A,X; name a version"):
        _roll_back(served, groups=["A,X"])


def test_what_is_so_already_is_a_result_and_no_move(served: Line) -> None:
    three_weeks(served)
    before = _state(served)
    for result in (_roll_back(served, "3"), _roll_back(served, "2", ["A,X"])):
        assert (result["moved"], result["to_version"]) == (False, "3")
        assert "nothing to do" in result["reason"]
    assert _state(served) == before


def test_what_cannot_be_meant_is_refused(served: Line) -> None:
    with pytest.raises(CannotRollBack, match="there is no champion yet"):
        served.plan()
    three_weeks(served)
    with pytest.raises(UnknownName, match=r"version '9'; there is: 1, 2, 3$"):
        served.plan("9")
    with pytest.raises(NoSuchGroups, match=r"20 groups have no model in version 3: .* and 10 more"):
        served.plan(groups=[f"N{number},X" for number in range(20)])
    with pytest.raises(NoSuchGroups, match="version 3 and in version 1: 'N,X'; did you mean "):
        served.plan("1", ["A,X", "N,X"])
    plan = served.plan("1")
    for who, why in (("", "bad"), ("ann", " ")):
        with pytest.raises(MissingActorOrReason, match="is empty"):
            roll_back(served.context, plan, who, why)


@pytest.mark.parametrize("damaged", ["manifest", "shard"])
def test_a_pack_that_is_missing_or_corrupt_is_not_gone_back_to(served: Line, damaged: str) -> None:
    three_weeks(served)
    version = version_of(served, "1")
    [shard] = shards_of(served.store, version.place, version.digest)
    file = shard if damaged == "shard" else Path(served.store.uri(version.place), MANIFEST_FILE)
    data = file.read_bytes()
    for damage in (lambda: file.write_bytes(data[:-1] + b"!"), file.unlink):
        damage()
        for groups in ((), ["A,X", "B,X"]):
            with pytest.raises(CannotRollBack):
                served.plan("1", groups)


def test_a_champion_that_is_corrupt_is_left_as_a_whole(served: Line) -> None:
    three_weeks(served)
    Path(served.store.uri(served.champion().place), MANIFEST_FILE).unlink()
    plan = served.plan()
    assert "is not there" in plan.difference["problem"]
    assert roll_back(served.context, plan, "ann", "lost")["to_version"] == "2"


def test_a_pack_of_other_features_is_not_gone_back_to(served: Line) -> None:
    three_weeks(served)
    served.declared = {"features": {"columns": ["a", "b", "record", "c"], "buckets": 4}}
    for groups in ((), ["A,X"]):
        with pytest.raises(CannotRollBack, match="takes other keys, features or classes"):
            served.plan("1", groups)


def test_a_group_does_not_lose_its_model_where_nothing_else_answers(served: Line) -> None:
    served.declared = {"pack": {"fallback": "error"}}
    three_weeks(served)
    with pytest.raises(CannotRollBack, match="'error' answers for groups without a model, and 1 would have none: C,X"):
        served.plan("1", ["C,X"])


def test_another_champion_than_was_looked_at_is_refused(served: Line) -> None:
    three_weeks(served)
    looked_at = served.plan("1")
    _roll_back(served, "2")
    with pytest.raises(AliasMoved, match=r"was planned from version 3, Champion is now version 2; nothing was moved"):
        roll_back(served.context, looked_at, "bob", "bad")
    with pytest.raises(AliasMoved, match=r"rollback .* --dry-run"):
        _roll_back(served, "1", against="3")
    assert len(served.moves) == 4


STEPS = [
    (rollback, "write_pack", True),
    (pack_artifact, "save_pack", False),
    (pack_artifact.PackArtifact, "link", True),
    (Journal, "append", True),
    (Journal, "note_made", False),
    (Journal, "note_made", True),
]


@pytest.mark.parametrize(("module", "step", "after"), STEPS)
def test_the_same_rollback_after_a_crash_ends_in_the_same_state(
    served: Line, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    three_weeks(served)
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            _roll_back(served, groups=["B,X"], against="3")
    result = _roll_back(served, groups=["B,X"], against="3")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "3", "4")
    assert _state(served)[1:3] == (4, 4)
    assert len(_state(served)[3]) == 4
    assert not served.journal.pending
    assert slopes(served) == {"A,X": 2.0, "B,X": 1.0, "C,X": 3.0}


@pytest.mark.parametrize("step", ["append", "note_made"])
def test_a_rollback_without_a_version_goes_no_further_back_after_a_crash(
    served: Line, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    three_weeks(served)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, step, dying(getattr(Journal, step), after=step == "append"))
        with pytest.raises(Killed):
            _roll_back(served)
    assert _roll_back(served)["to_version"] == "2"
    assert len(served.moves) == 4


def test_a_move_by_hand_is_written_down_by_the_rollback(served: Line) -> None:
    three_weeks(served)
    by_hand(served, "2")
    result = _roll_back(served, "2")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "3", "2")
    assert [(row["from_version"], row["to_version"]) for row in served.moves][-1] == ("3", "2")
    assert not _roll_back(served, "2")["moved"]
    by_hand(served, "3")  # and once more by hand: the rollback moves it back, with a row of its own
    assert _roll_back(served, "2", against="3")["moved"]
    assert served.champion().version == "2"


def test_the_number_of_calls_does_not_grow_with_the_groups(served: Line) -> None:
    counted = []
    for partition, groups in ((served.first, 10), (served.second, 1000)):
        names = [f"G{number},X" for number in range(groups)]
        champion = served.champion()
        first = promoted(served, partition, dict.fromkeys(names, 1.0), champion and champion.version)["to_version"]
        promoted(served, partition, dict.fromkeys(names, 2.0), None if partition == served.first else "3")
        before = budget.count()
        _roll_back(served, first, names[:-1])
        counted.append(budget.count() - before)
    assert counted[1] <= counted[0] <= 50


@ON_BOTH
def test_a_pack_comes_back_from_the_store_though_mlflow_has_lost_its_version_and_its_run(served: Line) -> None:
    promoted(served, served.first, {"A,X": 1.0, "B,X": 1.0}, None)
    client, run_id = connect(), json.loads(served.moves[0]["evidence"])["mlflow_run_id"]
    client.delete_model_version(served.name, "1")
    client.delete_run(run_id)
    result = _roll_back(served, against="none")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, None, "2")
    assert slopes(served) == {"A,X": 1.0, "B,X": 1.0}
    assert versions(served)[0].run_id != run_id
    promoted(served, served.second, {"A,X": 2.0}, "2")
    assert _roll_back(served)["to_version"] == "2"
    with pytest.raises(CannotRollBack, match="there was no champion before version 2"):
        _roll_back(served)


def test_a_version_that_was_never_champion_is_no_way_back(served: Line) -> None:
    three_weeks(served)
    client = connect()
    client.create_model_version(served.name, "s3://elsewhere/model")
    with pytest.raises(MusterError, match="version '4'; there is: 1, 2, 3"):
        served.plan("4")
