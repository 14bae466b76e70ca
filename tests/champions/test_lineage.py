"""Which champion came of which, on moves that are made up: rollbacks, versions and registered models deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster.champions.errors import MovesMissing
from muster.champions.lineage import champion_before, newest_ancestor, promotion_of

FIRST, SECOND, THIRD, FOURTH = "2024-02-05", "2024-02-12", "2024-02-19", "2024-02-26"


def move(
    digest: str, before: str | None, to: str, partition: str, cause: str = "gate", **evidence: str
) -> dict[str, Any]:
    versions = {"from_version": before, "to_version": to, "manifest_sha256": digest}
    return {**versions, "partition": partition, "cause": cause, "evidence": json.dumps(evidence)}


WEEKS = [move("a", None, "1", FIRST), move("b", "1", "2", SECOND), move("c", "2", "3", THIRD)]


def back(digest: str, before: str | None, to: str, partition: str, **evidence: str) -> dict[str, Any]:
    return move(digest, before, to, partition, "rollback", **evidence)


def by_week(moves: list[dict[str, Any]]) -> list[str | None]:
    """Return the champion of each week's own time, by its digest and its number now."""
    rows = [newest_ancestor(moves, moves[-1]["to_version"], week.__ge__) for week in (FIRST, SECOND, THIRD, FOURTH)]
    return [row and row["manifest_sha256"] + row["to_version"] for row in rows]


DELETED = [*WEEKS, back("c", None, "1", THIRD, restored="3")]
"""The registered model was deleted whole, and its last champion registered anew."""


@pytest.mark.parametrize(
    ("moves", "champions"),
    [
        (WEEKS, ["a1", "b2", "c3", "c3"]),
        ([*WEEKS, back("b", "3", "2", SECOND)], ["a1", "b2", "b2", "b2"]),
        ([*WEEKS, back("c", None, "4", THIRD, restored="3")], ["a1", "b2", "c4", "c4"]),
        (DELETED, ["a1", "b2", "c1", "c1"]),
        ([*DELETED, move("d", "1", "2", FOURTH)], ["a1", "b2", "c1", "d2"]),
        ([*DELETED, back("b", "1", "2", SECOND, restored="2")], ["a1", "b2", "b2", "b2"]),
        ([*DELETED, back("a", "1", "2", FIRST, restored="1"), move("d", "2", "3", FOURTH)], ["a2", "a2", "a2", "d3"]),
        ([*WEEKS, back("a", None, "1", FIRST, restored="1"), move("d", "1", "2", FOURTH)], ["a1", "a1", "a1", "d2"]),
        ([*DELETED, move("d", "1", "2", FOURTH), back("d", None, "1", FOURTH, restored="2")], ["a1", "b2", "c1", "d1"]),
        ([*WEEKS, back("C", None, "1", THIRD, restored="3")], ["a1", "b2", "C1", "C1"]),
    ],
    ids=[
        "as promoted",
        "rolled back",
        "one version deleted",
        "all deleted",
        "all deleted, then promoted",
        "all deleted, then rolled back further",
        "all deleted, back to the first, then promoted",
        "all deleted, the first restored, then promoted",
        "all deleted twice",
        "all deleted, restored with another digest",
    ],
)
def test_a_champion_of_each_time_is_known_whatever_the_numbers(
    moves: list[dict[str, Any]], champions: list[str]
) -> None:
    assert by_week(moves) == champions


@pytest.mark.parametrize(
    ("moves", "before"),
    [
        (WEEKS, "b2"),
        (DELETED, "b2"),
        ([*DELETED, move("d", "1", "2", FOURTH)], "c1"),
        ([*DELETED, move("d", "1", "2", FOURTH), back("c", "2", "1", THIRD)], "b2"),
        ([*DELETED, back("b", "1", "2", SECOND, restored="2")], "a1"),
        ([*DELETED, back("a", "1", "2", FIRST, restored="1")], None),
    ],
)
def test_the_champion_before_is_the_one_of_before_the_last_promotion(
    moves: list[dict[str, Any]], before: str | None
) -> None:
    row = champion_before(moves, moves[-1]["to_version"])
    assert (row and row["manifest_sha256"] + row["to_version"]) == before


def test_a_version_unknown_to_the_journal_is_left_for_where_muster_last_put_the_alias() -> None:
    assert champion_before(DELETED, "9") is DELETED[-1]
    assert promotion_of(DELETED, "9") is None
    assert promotion_of(DELETED, "1") is WEEKS[2]


def test_moves_that_were_removed_are_no_champion_that_never_was() -> None:
    assert newest_ancestor(WEEKS, "3", FIRST.__gt__) is None
    with pytest.raises(MovesMissing, match="a move from version 1, but none to it"):
        newest_ancestor(WEEKS[1:], "3", FIRST.__ge__)
