"""The journal of the alias: older than its columns, and written to while its table changes."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from muster.champions import journal
from muster.champions.journal import Move
from muster.champions.opened import opponents

Line = Any
pytestmark = pytest.mark.slow


def test_a_journal_begun_before_groups_had_models_of_their_own_goes_on(served: Line) -> None:
    for partition, against in ((served.first, None), (served.second, "1")):
        run = served.train(partition, {"A,X": 1.0 if against else -1.0})
        served.decide(partition, run, {"A,X": "promote"}, against)
        served.promote(partition)
        table = served.store.open("alias_journal")
        if against is None:
            older = table.to_pyarrow_table().drop_columns("group")
            write_deltalake(table.table_uri, older, mode="overwrite", schema_mode="overwrite")
    assert [(move["to_version"], move["group"]) for move in served.moves] == [("1", None), ("2", None)]


@pytest.mark.parametrize("moves", [0, 1], ids=["first", "second"])
def test_a_commit_that_moves_nothing_does_not_count_as_another_move(
    served: Line, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """Two that make the table at the same moment, or one that alters it, commit without a row."""
    if moves:
        served.week(served.first, {"A,X": "promote"}, 1.0)
        served.promote(served.first)
    partition = served.second if moves else served.first
    served.week(partition, {"A,X": "promote"}, 2.0, "1" if moves else None)
    altered: list[bool] = []

    def altered_first(table: DeltaTable, *arguments: Any, **named: Any) -> None:
        if not altered:
            DeltaTable(table.table_uri).alter.set_table_properties({"delta.logRetentionDuration": "interval 60 days"})
            altered.append(True)
        write_deltalake(table, *arguments, **named)

    monkeypatch.setattr(journal, "write_deltalake", altered_first)
    served.promote(partition)
    assert altered
    assert len(served.moves) == moves + 1


def test_a_table_that_refuses_every_commit_ends_the_move(served: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    served.week(served.first, {"A,X": "promote"}, 1.0)
    tried: list[int] = []

    def refused(*arguments: Any, **named: Any) -> None:
        tried.append(1)
        raise CommitFailedError("refused")

    monkeypatch.setattr(journal, "write_deltalake", refused)
    with pytest.raises(CommitFailedError):
        served.promote(served.first)
    assert len(tried) == journal.ATTEMPTS
    assert served.position() is None


def test_a_groups_history_is_read_once_a_promotion_and_does_not_travel(
    grouped: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [f"G{number},X" for number in range(20)]
    grouped.week(grouped.first, dict.fromkeys(groups, "promote"), 1.0)
    grouped.promote(grouped.first)
    unit, run = grouped.unit(groups[0]), grouped.moves[0]["run"]
    sizes = []
    for partition, count in ((grouped.second, 0), (grouped.third, 300)):
        history = [Move(unit, "1", "1", "gate", "x", run, grouped.first, "0" * 64, {"rows": 1})] * count
        _written(grouped, history)
        champions = opponents(grouped.at(partition))
        assert champions is not None
        sizes.append(len(cloudpickle.dumps(champions)))
    assert sizes[1] - sizes[0] < 1_000
    reads: list[Any] = []
    read = journal._read
    monkeypatch.setattr(journal, "_read", lambda *what: reads.append(what) or read(*what))
    grouped.week(grouped.second, {groups[1]: "promote"}, 2.0, {groups[1]: "1"})
    assert grouped.promote(grouped.second)["promoted"] == 1
    assert len(reads) == 1


def _written(line: Line, moves: list[Move]) -> None:
    if moves:
        held = line.journal
        held.append(moves)
        held.note_made([move.unit for move in moves])


@pytest.mark.parametrize("others", [False, True], ids=["alone", "and others come after"])
def test_a_commit_whose_answer_was_lost_is_the_move_that_it_was(
    served: Line, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    """An object store has carried it out; delta-rs asks again, and is refused by its own commit."""
    for week, against in ((served.first, None), (served.second, "1")):
        served.week(week, {"A,X": "promote"}, 1.0 if against is None else 2.0, against)
        served.promote(week)
    lost: list[bool] = []

    def answer_lost(table: DeltaTable, rows: Any, **named: Any) -> None:
        write_deltalake(table, rows, **named)
        if not lost:
            lost.append(True)
            if others:
                DeltaTable(table.table_uri).alter.set_table_properties(
                    {"delta.logRetentionDuration": "interval 60 days"}
                )
            raise CommitFailedError("a concurrent transaction")

    monkeypatch.setattr(journal, "write_deltalake", answer_lost)
    assert served.roll_back()["moved"]
    assert lost
    assert (served.position(), [move["to_version"] for move in served.moves]) == ("1", ["1", "2", "1"])
    assert served.moves[-1]["made"]
