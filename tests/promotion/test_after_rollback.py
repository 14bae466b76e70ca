"""What follows a rollback: scoring, judging, promoting; moves by hand; and the races of two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from muster.champions.errors import AliasMoved
from muster.champions.journal import Journal
from muster.champions.opened import opponents
from muster.scoring.score import prepare
from muster_local import PROJECT
from tests.promotion.conftest import Killed, dying
from tests.promotion.history import Line, by_hand, promoted, slopes, three_weeks
from tests.promotion.racing import race

pytestmark = pytest.mark.slow
FOURTH = "2024-02-26"


def _roll_back(line: Line, version: str | None = None, *groups: str) -> str:
    return str(line.roll_back(version, groups)["to_version"])


def _scored_by(line: Line) -> dict[str, str]:
    """Return the version that each slice is scored by, when it is scored now."""
    partitions = (line.first, line.second, line.third, FOURTH)
    for partition in partitions if line.store.open("features") is None else ():
        line.features(partition, [{"group": "A,X", "a": 1.0, "b": 0.0, "record": 0.5}])
    return {partition: prepare(line.at(partition)).champions.version for partition in partitions}


def _judged_against(line: Line, *partitions: str) -> list[str | None]:
    """Return the version that each partition is judged against, when it is judged now."""
    champions = [opponents(line.at(partition)) for partition in partitions]
    return [champion.version if champion else None for champion in champions]


def _again(line: Line, partition: str) -> dict[str, Any]:
    return line.promote(partition, "cleared")


def test_slices_are_scored_by_what_was_gone_back_to_and_old_ones_by_their_own_time(served: Line) -> None:
    three_weeks(served)
    _roll_back(served)
    assert list(_scored_by(served).values()) == ["1", "2", "2", "2"]
    promoted(served, FOURTH, {"A,X": 4.0}, "2")
    assert list(_scored_by(served).values()) == ["1", "2", "2", "4"]  # the third week's own is passed over for good


def test_slices_are_scored_by_the_groups_rolled_back(served: Line) -> None:
    three_weeks(served)
    made = _roll_back(served, None, "B,X")
    assert list(_scored_by(served).values()) == ["1", "2", made, made]
    promoted(served, FOURTH, {"A,X": 5.0}, made)
    assert list(_scored_by(served).values()) == ["1", "2", made, "5"]
    assert slopes(served) == {"A,X": 5.0, "B,X": 1.0, "C,X": 3.0}


def test_an_undone_rollback_leaves_no_trace_in_what_is_scored_and_judged(served: Line) -> None:
    three_weeks(served)
    before = _judged_against(served, served.first, served.second, served.third, FOURTH)
    _roll_back(served, "1")
    _roll_back(served, "3")
    assert list(_scored_by(served).values()) == ["1", "2", "3", "3"]
    assert _judged_against(served, served.first, served.second, served.third, FOURTH) == before == [None, "1", "2", "3"]


def test_the_next_partition_is_judged_against_what_was_gone_back_to(served: Line) -> None:
    three_weeks(served)
    _roll_back(served, "1")
    assert _judged_against(served, served.second, served.third, FOURTH) == ["1", "1", "1"]
    promoted(served, FOURTH, {"A,X": 4.0}, "1")
    assert slopes(served) == {"A,X": 4.0, "B,X": 1.0}
    assert _judged_against(served, served.second, FOURTH) == ["1", "1"]


def test_a_partition_trained_again_after_its_rollback_keeps_its_opponent_once_promoted(served: Line) -> None:
    three_weeks(served)
    _roll_back(served, "1")
    promoted(served, served.third, {"A,X": 3.5}, "1")
    assert _judged_against(served, served.third) == ["1"]  # not version 2, which its first promotion was judged against
    promoted(served, served.third, {"A,X": 3.6, "B,X": 3.6, "C,X": 3.6, "D,X": 3.6}, "1")
    assert slopes(served)["A,X"] == 3.6


def test_what_was_judged_before_the_rollback_is_refused(served: Line) -> None:
    three_weeks(served)
    run = served.train(FOURTH, {"A,X": 4.0})
    served.decide(FOURTH, run, {"A,X": "promote"}, "3")
    _roll_back(served)
    with pytest.raises(AliasMoved, match="were made with version 3 as champion, Champion is now version 2"):
        _again(served, FOURTH)


def test_verdicts_rolled_back_are_not_promoted_again_and_it_says_why(served: Line) -> None:
    three_weeks(served)
    _roll_back(served)
    result = _again(served, served.third)
    assert not result["moved"]
    assert "as version 3, and ann moved the alias to version 2 (bad scores) since" in result["reason"]
    assert slopes(served) == {"A,X": 2.0, "B,X": 1.0}


def test_models_rolled_back_are_not_promoted_by_another_judgement_of_them(served: Line) -> None:
    runs = three_weeks(served)
    _roll_back(served, "1")
    served.decide(served.third, runs[2], {"B,X": "promote", "C,X": "reject"}, "1")  # judged again: others win
    result = _again(served, served.third)
    assert (result["moved"], len(served.moves)) == (False, 4)
    assert f"run {runs[2]} was promoted before, as version 3, and ann moved" in result["reason"]


def test_a_partition_does_not_overrule_the_groups_that_a_human_chose_of_it(served: Line) -> None:
    three_weeks(served)
    made = _roll_back(served, "1", "A,X")
    run = served.train(served.third, {"B,X": 3.5})
    served.decide(served.third, run, {"B,X": "promote"}, "2")
    result = _again(served, served.third)
    assert not result["moved"]
    assert f"ann moved the alias to version {made}" in result["reason"]
    assert "roll back to version 2, then promote" in result["reason"]
    _roll_back(served, "2")
    assert _again(served, served.third)["moved"]
    assert slopes(served) == {"A,X": 2.0, "B,X": 3.5}


def test_a_move_by_hand_is_no_broken_off_promotion(served: Line) -> None:
    three_weeks(served)
    by_hand(served, "2")
    result = _again(served, served.third)
    assert not result["moved"]
    for part in ("the alias is at 2 now", "--to 2' writes it down", "--to 3' undoes it"):
        assert part in result["reason"]
    assert slopes(served) == {"A,X": 2.0, "B,X": 1.0}
    promoted(served, FOURTH, {"A,X": 4.0}, "2")  # judged against where the alias is: no need to wait
    assert slopes(served) == {"A,X": 4.0, "B,X": 1.0}


def test_a_promotion_broken_off_before_the_alias_was_set_is_finished(
    served: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_weeks(served)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", dying(Journal.append, after=True))
        with pytest.raises(Killed):
            promoted(served, FOURTH, {"A,X": 4.0}, "3")
    assert served.journal.pending
    assert _again(served, FOURTH)["moved"]
    assert not served.journal.pending
    assert slopes(served)["A,X"] == 4.0


RACER = """
import json, sys
from pathlib import Path
from tests.promotion.conftest import Line
from tests.promotion.racing import race

print(json.dumps(race(Line(Path(sys.argv[1]), name=sys.argv[2]), sys.argv[3], Path(sys.argv[4]))))
"""


@pytest.mark.parametrize("other", ["rollback", FOURTH], ids=["promote and rollback", "promote and promote"])
def test_of_two_processes_one_moves_the_alias_and_the_other_says_that_it_moved(
    served: Line, tmp_path: Path, other: str
) -> None:
    three_weeks(served)
    racers = ("2024-03-04", other)
    for number, partition in enumerate(racers):
        if partition != "rollback":
            run = served.train(partition, {"A,X": 4.0 + number})
            served.decide(partition, run, {"A,X": "promote"}, "3")
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    env = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", RACER, str(served.root), served.name, other, str(meeting)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as started:
        results = [race(served, racers[0], meeting), json.loads(started.communicate(timeout=180)[0].splitlines()[-1])]

    ((winner,), (loser,)) = ([end for end in results if "to" in end], [end for end in results if "error" in end])
    assert (winner["moved"], loser["error"]) == (True, "AliasMoved")
    assert "another move came first" in loser["told"]
    assert served.champion().version == winner["to"]
    assert [row["to_version"] for row in served.moves] == ["1", "2", "3", winner["to"]]
    assert not served.journal.pending
