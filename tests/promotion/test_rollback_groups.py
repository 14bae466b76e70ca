"""Rolling groups' own champions back on an MLflow server: looked at, moved, refused, broken off, and afterwards."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from muster.champions import alias
from muster.champions.errors import ALIAS, AliasMoved, ConcurrentMove, MoveUnderWay
from muster.champions.journal import Journal
from muster.champions.names import model_name
from muster.champions.opened import opponents
from muster.champions.versions import MODEL_DIGEST
from muster.cli import main
from muster.errors import UnknownName, WrongArgument
from muster.mlflow.client import connect
from muster.promotion import promote, rollback
from muster.promotion.difference_text import view
from muster.promotion.rollback import MissingActorOrReason
from muster.promotion.rollback_plan import CannotRollBack, NoSuchGroups
from muster.scoring import score
from muster.settings import settings
from muster_jobs import rollback as job
from muster_jobs.job import Job
from tests.promotion.conftest import Killed, Line, dying, stored
from tests.promotion.history import declare
from tests.registry.remembered import remembered

pytestmark = pytest.mark.slow
GROUPS = ("A,X", "B,X", "C,X")


@pytest.fixture
def weeks(grouped: Line) -> Line:
    """A,X and B,X promoted in the first week, A,X in the second, A,X, B,X and (its first) C,X in the third."""
    remembered(grouped, _weeks)
    return grouped


def _weeks(line: Line) -> None:
    line.week(line.first, dict.fromkeys(("A,X", "B,X"), "promote"), 1.0)
    line.promote(line.first)
    line.week(line.second, {"A,X": "promote"}, 2.0, {"A,X": "1"})
    line.promote(line.second)
    line.week(line.third, dict.fromkeys(GROUPS, "promote"), 3.0, {"A,X": "2", "B,X": "1"})
    line.promote(line.third)


def name(line: Line, group: str) -> str:
    return model_name(line.name, group)


def at(line: Line) -> list[str | None]:
    return [line.position(group) for group in GROUPS]


def look(line: Line, version: str | None = None, groups: Any = (), against: str | None = None) -> Any:
    return line.plan(version, groups, against)


def back(line: Line, version: str | None = None, groups: Any = (), against: str | None = None) -> dict[str, Any]:
    return line.roll_back(version, groups, against)


def rolled_back(line: Line) -> list[tuple[str, str, str]]:
    rows = [row for row in line.moves if row["cause"] == "rollback"]
    return [(row["group"], row["from_version"], row["to_version"]) for row in rows]


def test_a_look_tells_each_groups_models_and_moves_nothing(weeks: Line) -> None:
    difference = look(weeks, groups=["B,X", "A,X"]).difference
    assert (at(weeks), rolled_back(weeks)) == (["3", "2", "1"], [])
    assert (difference["changes"], difference["groups"], difference["taken_from"]) == (2, 3, {"1": 1, "2": 1})
    first, second = difference["shown"]
    assert (first["group"], first["taken_from"], second["group"]) == ("A,X", "2", "B,X")
    assert [first[side]["origin_partition"] for side in ("before", "after")] == [weeks.third, weeks.second]
    assert (first["after"]["algorithm"], first["compared"]) == ("logistic", None)
    view("made", difference, out := StringIO())
    assert "made: each of 2 groups goes to the version before its present one\n" in out.getvalue()
    assert "models taken from version 1 (1), version 2 (1)" in out.getvalue()


def test_named_groups_go_back_in_one_commit_and_further_the_next_time(weeks: Line) -> None:
    table = weeks.store.open("alias_journal")
    assert table is not None
    result = back(weeks, groups=["A,X", "B,X"])
    assert (result["moved"], result["changes"], at(weeks)) == (True, 2, ["2", "1", "1"])
    assert rolled_back(weeks) == [("A,X", "3", "2"), ("B,X", "2", "1")]
    version = table.version()
    table.update_incremental()
    assert table.version() == version + 2  # the moves, and the note that they are made
    row = weeks.moves[-2]
    assert (row["who"], row["partition"], json.loads(row["evidence"])["why"]) == ("ann", weeks.second, "bad scores")
    assert back(weeks, groups=["A,X"])["to_version"] == "1"
    assert at(weeks) == ["1", "1", "1"]
    before = len(weeks.moves)
    with pytest.raises(CannotRollBack, match=r"before the present one of 2 groups: A,X, C,X.*nothing was moved"):
        back(weeks, groups=["A,X", "C,X"])
    assert back(weeks, "3", ["A,X"])["from_version"] == "1"
    again = back(weeks, "3", ["A,X"])
    assert (again["moved"], len(weeks.moves), at(weeks)) == (False, before + 1, ["3", "1", "1"])


def test_without_groups_all_that_the_last_promotion_changed_go_back_together(weeks: Line) -> None:
    difference = look(weeks).difference
    assert difference["scope"] == (
        f"2 groups that the promotion of {weeks.third} changed go back together; "
        "1 that had no champion before it stay: C,X"
    )
    back(weeks)
    assert at(weeks) == ["2", "1", "1"]
    assert weeks.second in look(weeks).difference["scope"]
    back(weeks)
    assert at(weeks) == ["1", "1", "1"]
    with pytest.raises(CannotRollBack, match="there was no champion before any group's"):
        back(weeks)


def test_what_cannot_be_meant_is_said(weeks: Line, artifact_store: Path) -> None:
    for groups in ([], ["A,X", "B,X"]):
        with pytest.raises(WrongArgument, match=f"version '1' goes with exactly one group, not {len(groups)}"):
            look(weeks, "1", groups)
    with pytest.raises(UnknownName, match="no earlier champion of group 'A,X': version '9'; there is: 1, 2, 3"):
        look(weeks, "9", ["A,X"])
    with pytest.raises(NoSuchGroups, match="'N,X'"):
        look(weeks, groups=["N,X"])
    with pytest.raises(MissingActorOrReason, match="'why'"):
        rollback.roll_back(weeks.context, look(weeks), "ann", " ")
    connect().set_model_version_tag(name(weeks, "A,X"), "2", MODEL_DIGEST, "0" * 64)
    with pytest.raises(CannotRollBack, match=r"1 group without a sound version.*'A,X'.*the journal says"):
        back(weeks)
    place = connect().get_model_version(name(weeks, "A,X"), "2").source
    connect().delete_model_version(name(weeks, "A,X"), "2")
    shutil.rmtree(stored(artifact_store, Path(place).name))
    for shard in Path(weeks.store.uri(weeks.store.packs)).rglob("*.bin"):
        shard.unlink()
    with pytest.raises(CannotRollBack, match=r"'A,X', version 2, is lost: neither MLflow nor the store has its bytes"):
        back(weeks)
    assert (at(weeks), rolled_back(weeks)) == (["3", "2", "1"], [])


def test_an_alias_set_by_hand_is_put_back_or_written_down(weeks: Line) -> None:
    connect().delete_registered_model_alias(name(weeks, "A,X"), ALIAS)
    assert back(weeks, groups=["A,X"])["to_version"] == "3"
    connect().set_registered_model_alias(name(weeks, "B,X"), ALIAS, "1")
    assert back(weeks, "1", ["B,X"])["moved"] is True
    assert (at(weeks), rolled_back(weeks)) == (["3", "1", "1"], [("A,X", None, "3"), ("B,X", "2", "1")])


def test_what_moved_since_the_look_is_not_touched(weeks: Line) -> None:
    seen, planned = look(weeks).difference["against"], look(weeks)
    connect().set_registered_model_alias(name(weeks, "B,X"), ALIAS, "1")
    with pytest.raises(AliasMoved, match=r"were moved since.*look again"):
        look(weeks, against=seen)
    with pytest.raises(AliasMoved, match="was planned from version 2, Champion is now version 1; nothing was moved"):
        rollback.roll_back(weeks.context, planned, "ann", "bad")
    connect().set_registered_model_alias(name(weeks, "B,X"), ALIAS, "2")
    back(weeks, groups=["B,X"])
    connect().set_registered_model_alias(name(weeks, "B,X"), ALIAS, "2")
    with pytest.raises(AliasMoved, match="moves that were not there before"):
        rollback.roll_back(weeks.context, planned, "ann", "bad")
    assert at(weeks) == ["3", "2", "1"]


def test_the_job_tried_again_with_what_the_look_saw_ends_in_the_same_state(weeks: Line) -> None:
    def run(**options: str) -> dict[str, Any]:
        return job.run(Job("rollback", weeks.context, settings(), "try", options))

    seen = run(dry_run="true")
    arguments = {"against": seen["against"], "who": "ann", "why": "bad"}
    assert [run(**arguments)["moved"] for _ in range(2)] == [True, True]
    assert (at(weeks), len(rolled_back(weeks))) == (["2", "1", "1"], 2)
    with pytest.raises(AliasMoved):
        run(**arguments, groups='["A,X"]')


def test_the_command_shows_where_from_and_where_to_and_says_how_many_moved(
    weeks: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSTER_STORE", str(weeks.root))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(declare(weeks, weeks.root / "workloads").parent))
    settings.cache_clear()
    with pytest.raises(SystemExit) as exit_info:
        main(["rollback", weeks.name, "--group", "A,X", "--group", "B,X", "--yes", "--why", "late", "--who", "ann"])
    printed = capsys.readouterr().out
    assert (exit_info.value.code or 0, at(weeks)) == (0, ["2", "1", "1"])
    assert "each of 2 groups goes to the version before its present one\n" in printed
    assert f"2 groups of {weeks.name} have earlier champions now, by ann." in printed


STEPS = [(Journal, "append"), (rollback, "move_alias"), (Journal, "note_made")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_killed_anywhere_the_same_command_ends_the_same(
    weeks: Line, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            back(weeks)
    if (step, after) != ("note_made", True):  # after it, it ended: the same command goes further back
        back(weeks)
    assert at(weeks) == ["2", "1", "1"]
    assert rolled_back(weeks) == [("A,X", "3", "2"), ("B,X", "2", "1")]


def test_an_alias_moved_in_the_very_moment_is_told_and_the_others_are_back(
    weeks: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Journal.append

    def meanwhile(*arguments: Any) -> Any:
        rows = own(*arguments)
        connect().delete_registered_model_alias(name(weeks, "A,X"), ALIAS)
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", meanwhile)
        with pytest.raises(ConcurrentMove, match=r"1 groups .* 'A,X': .* not by Muster"):
            back(weeks)
    assert at(weeks) == [None, "1", "1"]


def test_a_promotion_broken_off_is_waited_for_and_what_was_taken_back_of_it_stays_so(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = dict.fromkeys(("A,X", "B,X"), "promote")
    grouped.week(grouped.first, both, 1.0)
    grouped.promote(grouped.first)
    grouped.week(grouped.second, both, 2.0, {"A,X": "1", "B,X": "1"})

    with monkeypatch.context() as patched:
        patched.setattr(promote, "move_alias", dying(promote.move_alias, after=False))
        with pytest.raises(Killed):
            grouped.promote(grouped.second)
    with pytest.raises(MoveUnderWay):
        back(grouped, "1", ["A,X"])
    monkeypatch.setattr(alias, "UNDER_WAY", alias.UNDER_WAY * 0)
    back(grouped, "1", ["A,X"])
    grouped.promote(grouped.second)
    assert at(grouped)[:2] == ["1", "2"]


def test_afterwards_its_promotion_is_not_repeated_and_says_why(weeks: Line) -> None:
    back(weeks, groups=["A,X"])
    for _ in range(2):
        result = weeks.promote(weeks.third)
        assert (result["moved"], at(weeks)) == (False, ["2", "2", "1"])
        assert "ann moved the alias to version 2 (bad scores) since" in result["stay_why"]["A,X"]
        weeks.week(weeks.third, dict.fromkeys(GROUPS, "promote"), 3.0, {"A,X": "2", "B,X": "1"})  # judged again


def test_afterwards_scoring_and_the_next_partition_take_what_stands(weeks: Line) -> None:
    back(weeks, groups=["A,X"])
    random = np.random.default_rng(0)
    rows = [{"group": group, "a": random.normal(), "b": 0.0, "record": 0.5} for group in GROUPS]
    weeks.features(weeks.third, rows)
    scoring = score.prepare(weeks.at(weeks.third))
    tables = [score.score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    scored = {row["group"]: row for row in pa.concat_tables(tables).to_pylist()}
    assert {group: row["model_version"] for group, row in scored.items()} == {"A,X": "2", "B,X": "2", "C,X": "1"}
    assert scored["A,X"]["score"] == pytest.approx(1 / (1 + np.exp(-2.0 * rows[0]["a"])))

    fourth = "2024-02-26"
    judged = opponents(weeks.at(fourth))
    assert judged is not None
    with judged.open(GROUPS) as opened:
        incumbents = opened.incumbents(pa.array(GROUPS))
        assert [incumbents.version_of(group) for group in GROUPS] == ["2", "2", "1"]
    weeks.week(fourth, {"A,X": "promote"}, 4.0, {"A,X": "2"})
    assert weeks.promote(fourth)["promoted"] == 1
    assert at(weeks) == ["4", "2", "1"]
