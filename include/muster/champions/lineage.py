"""Which champion came of which: read from a unit's moves, so that a rollback is no part of what came before.

A version is known by its digest. A number is not enough: one that was deleted is registered again under another, and
where the registered model itself was deleted, numbers begin at 1 again, and each may be another version's.

A champion is a version in a partition: a later partition may come to the very bytes of an earlier one, and have its
version. What that came of, and for which slices it counts, is another matter then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from muster.champions.errors import NO_VERSION, MovesMissing, version_text
from muster.champions.journal import Moves, Row, evidence_of

RESTORED = "restored"
"""What the journal's evidence calls the deleted version that a rollback registered again."""


def same_bytes(one: Row | None, other: Row | None) -> bool:
    """Tell whether two moves are to the same version, whatever its numbers."""
    return one is not None and other is not None and one["manifest_sha256"] == other["manifest_sha256"]


def same(one: Row | None, other: Row | None) -> bool:
    """Tell whether two moves are to the same champion: the same version, in the same partition."""
    return same_bytes(one, other) and (one or {})["partition"] == (other or {})["partition"]


def last_row_of(moves: Moves, version: str | None) -> Row | None:
    """Return the latest move to `version`, by its number."""
    return next((row for row in reversed(moves) if row["to_version"] == version), None)


def latest_of(moves: Moves, row: Row) -> Row:
    """Return the latest move to the champion of `row`, with the number that its version has now."""
    number = next(move["to_version"] for move in reversed(moves) if same_bytes(move, row))
    return {**next(move for move in reversed(moves) if same(move, row)), "to_version": number}


def champion_of(moves: Moves) -> str | None:
    """Return the version that is champion by the moves; None where none is known to have been made, or it was taken
    away."""
    if left_without(moves):
        return None
    begun = any(move["made"] or move["from_version"] is not None for move in moves)
    return str(moves[-1]["to_version"]) if begun else None


def left_without(moves: Moves) -> bool:
    """Tell whether a human has left the unit without a champion: its next one came of none."""
    return bool(moves) and moves[-1]["to_version"] == NO_VERSION


def _line_of(moves: Moves, version: str | None) -> Iterator[int]:
    """Yield where `version` became champion the first time, then that which it came of, and so on.

    What a version came of was champion when it became champion the first time. Its number is looked up in the moves
    before that one: what came later may have the number too.
    """
    before = len(moves) if version != NO_VERSION else 0
    while (row := last_row_of(moves[:before], version)) is not None:
        before = next(number for number, move in enumerate(moves) if same(move, row))
        yield before
        version = _came_of(moves[before])


def line_of(moves: Moves, version: str | None) -> Iterator[Row]:
    """Yield the moves by which `version`, and then each that it came of, first became champion."""
    yield from (moves[number] for number in _line_of(moves, version))


def newest_ancestor(moves: Moves, version: str | None, wanted: Callable[[str], bool]) -> Row | None:
    """Return the latest move to `version`, or to the youngest that it came of, whose partition is `wanted`.

    None where there is none. What was rolled back is passed over by what came after, and counts again once the rollback
    is undone.

    Raises:
        MovesMissing: when it came of a version that the journal knows of no move to: nobody can tell what that came of.
    """
    for number in _line_of(moves, version):
        if wanted(moves[number]["partition"]):
            return latest_of(moves, moves[number])
        version = _came_of(moves[number])
    if version not in (None, NO_VERSION):
        raise MovesMissing(version)
    return None


def promoted_by(moves: Moves, version: str | None, run: str) -> Row | None:
    """Return the first promotion of a run's winners that `version` came of; None where it came of none."""
    own = [row for row in line_of(moves, version) if (row["run"], row["cause"]) == (run, "gate")]
    return own[-1] if own else None


def promotion_of(moves: Moves, version: str | None) -> Row | None:
    """Return the promotion that `version` came of, whose `from_version` was champion before; None where none is."""
    number = _promotion_of(moves, version)
    return None if number is None else moves[number]


def _promotion_of(moves: Moves, version: str | None) -> int | None:
    return next((number for number in _line_of(moves, version) if moves[number]["cause"] == "gate"), None)


def champion_before(moves: Moves, present: str | None) -> Row | None:
    """Return the latest move to what was champion before `present` was promoted; None where none is known.

    From a version that the journal does not know one goes to where Muster last put the alias; from none, where a human
    took the champion away, to that champion.
    """
    if present is None and left_without(moves):
        return last_row_of(moves, moves[-1]["from_version"])
    if moves and last_row_of(moves, present) is None:
        return moves[-1]
    number = _promotion_of(moves, present)
    before = None if number is None else last_row_of(moves[:number], moves[number]["from_version"])
    return None if before is None else latest_of(moves, before)


def _came_of(move: Row) -> str | None:
    """Return the version that a move's came of: one that was deleted, and registered again, is the same under a new
    number."""
    restored: str | None = evidence_of(move).get(RESTORED)
    return restored or move["from_version"]


def _choices(moves: Moves) -> Moves:
    """Return the moves but those that put back the version that was champion already: such a one chooses nothing."""
    return [move for number, move in enumerate(moves) if number == 0 or not same(move, moves[number - 1])]


def choices_since(moves: Moves, row: Row) -> Moves:
    """Return the moves after that of `row` that chose another version than was champion."""
    return _choices(moves[moves.index(row) :])[1:]


def as_judged(moves: Moves, partition: str, judged: str | None, at: str | None, retry: str | None = None) -> bool:
    """Tell whether verdicts about `judged` hold for the champion `at`.

    They do when it is the same; or when it came of this very partition, which was trained again on mended data since,
    and of `judged`; never where a human moved the alias since, whose choice of models a promotion would undo. Those on
    the run of a `retry` hold for what it has itself promoted before, where that came of `judged`.
    """
    if at == judged:
        return True
    if not moves or moves[-1]["to_version"] != at:
        return False
    last = _choices(moves)[-1]
    if (last["partition"], last["cause"]) != (partition, "gate"):
        return False
    if retry is not None:
        own = promoted_by(moves, at, retry)
        return last["run"] == retry and own is not None and own["from_version"] == judged
    before = newest_ancestor(moves, at, lambda key: key < partition)
    return (before and before["to_version"]) == judged


def moved_by_human(moves: Moves) -> str | None:
    """Return in words the last of `moves` that no gate made; None without one."""
    move = next((move for move in reversed(moves) if move["cause"] != "gate"), None)
    if move is None:
        return None
    why = evidence_of(move).get("why")
    return f"{move['who']} moved the alias to {version_text(move['to_version'])}" + (f" ({why})" if why else "")


def human_choice(moves: Moves, run: str, partition: str, champion: str | None) -> str | None:
    """Return why a partition's run is not promoted: a human chose otherwise, and no verdict overrules that by accident.

    That is so for a run that was promoted before a human moved the alias: judged again, against another champion, the
    same models may win elsewhere. And for any run of the partition while its champion is a human's choice of models.
    Who puts the champion back that somebody removed has chosen none.
    """
    promoted = [move for move in moves if move["run"] == run and move["cause"] == "gate"]
    if promoted and (since := moved_by_human(choices_since(moves, promoted[-1]))):
        version = promoted[-1]["to_version"]
        return (
            f"run {run} was promoted before, as version {version}, and {since} since; roll back to it to have it again"
        )
    at, moves = champion_of(moves), _choices(moves)
    last = moves[-1] if moves else None
    if last is None or last["cause"] == "gate" or (last["partition"], at) != (partition, champion):
        return None
    before = newest_ancestor(moves, champion, lambda key: key < partition)
    first = f"roll back to version {before['to_version']}, then promote" if before else "promote the next partition"
    return f"the champion is of this partition already, and {moved_by_human([last])}; {first}"
