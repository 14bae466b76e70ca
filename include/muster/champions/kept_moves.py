"""The moves whose champions stay: housekeeping removes nothing that they need, and a rollback to them needs no more."""

from __future__ import annotations

from collections.abc import Iterable

from muster.champions.in_store import PLACE
from muster.champions.journal import Moves, Row, evidence_of
from muster.champions.lineage import last_row_of, line_of


def kept_moves(moves: Moves, keep: int) -> list[Row]:
    """Return those of a unit's moves whose champions a rollback of its last `keep` promotions may go to.

    Those are the moves from the first of these promotions on, and what was champion before it; likewise by what the
    champion came of, which a rollback far back has made another line; and moves that may still have to be made.
    """
    promotions = [number for number, move in enumerate(moves) if move["cause"] == "gate"]
    first = promotions[-keep] if len(promotions) >= keep else 0
    made = max((number for number, move in enumerate(moves) if move["made"]), default=-1)
    kept = [move for number, move in enumerate(moves) if number >= first - 1 or number > made]
    if first and (before := last_row_of(moves[:first], moves[first]["from_version"])):
        kept.append(before)
    return [*kept, *_own_line(moves, keep)]


def _own_line(moves: Moves, keep: int) -> Iterable[Row]:
    """Yield what the champion came of, back to the one before the last `keep` promotions."""
    passed = 0
    for move in line_of(moves, moves[-1]["to_version"] if moves else None):
        yield move
        if passed == keep:
            return
        passed += move["cause"] == "gate"


def digests_of(moves: Iterable[Row]) -> frozenset[str]:
    """Return the digests of what moves made champion; a group that was left without one has none."""
    return frozenset(move["manifest_sha256"] for move in moves if move["manifest_sha256"])


def shards_of(moves: Iterable[Row]) -> frozenset[str]:
    """Return the shards in which moves of groups' own models say that the models are."""
    shards = (evidence_of(move).get(PLACE[0]) for move in moves if move["group"] is not None)
    return frozenset(shard for shard in shards if shard)
