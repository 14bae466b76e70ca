"""Which champion came of which: read from a unit's moves, so that a rollback is no part of what came before."""

from __future__ import annotations

from collections.abc import Callable

from muster.champions.journal import Moves, Row, evidence_of

RESTORED = "restored"
"""What the journal's evidence calls the deleted version that a rollback registered again."""


def first_move_to(moves: Moves, version: str | None, before: int | None = None) -> int | None:
    """Return the number of the move (of the first `before`) by which `version` became champion the first time."""
    return next((n for n, move in enumerate(moves[:before]) if move["to_version"] == version), None)


def last_row_of(moves: Moves, version: str | None) -> Row | None:
    """Return the latest move to `version`: a registered model that was deleted, and is made anew, counts from 1."""
    return next((row for row in reversed(moves) if row["to_version"] == version), None)


def champion_of(moves: Moves) -> str | None:
    """Return the version that is champion by the moves; None where none is known to have been made."""
    begun = any(move["made"] or move["from_version"] is not None for move in moves)
    return str(moves[-1]["to_version"]) if begun else None


def newest_ancestor(moves: Moves, version: str | None, wanted: Callable[[str], bool]) -> str | None:
    """Return `version`, or the youngest that it came of, whose partition is `wanted`; None where there is none.

    A version came of the one that was champion when it was first made champion. So what was rolled back is passed over
    by what came after, and counts again once the rollback is undone. A version that the journal does not know (the
    alias was set by hand) is returned as it is: nobody can tell what it came of.
    """
    number: int | None = len(moves)
    while version is not None and (number := first_move_to(moves, version, number)) is not None:
        if wanted(moves[number]["partition"]):
            break
        version = _came_of(moves[number])
    return version


def promotion_of(moves: Moves, version: str | None) -> Row | None:
    """Return the promotion that `version` came of, whose `from_version` was champion before; None where none is."""
    number: int | None = len(moves)
    while (number := first_move_to(moves, version, number)) is not None:
        if moves[number]["cause"] == "gate":
            return moves[number]
        version = _came_of(moves[number])
    return None


def _came_of(move: Row) -> str | None:
    """Return the version that a move's came of: one that was deleted, and registered again, is the same under a new
    number."""
    restored: str | None = evidence_of(move).get(RESTORED)
    return restored or move["from_version"]


def as_judged(moves: Moves, partition: str, judged: str | None, at: str | None) -> bool:
    """Tell whether verdicts about `judged` hold for the champion `at`.

    They do when it is the same; or when it came of this very partition, which was trained again on mended data since,
    and of `judged`; never where a human moved the alias since, whose choice of models a promotion would undo.
    """
    if at == judged:
        return True
    last = moves[-1] if moves else {}
    if (last.get("partition"), last.get("cause"), last.get("to_version")) != (partition, "gate", at):
        return False
    return newest_ancestor(moves, at, lambda key: key < partition) == judged


def moved_by_human(moves: Moves) -> str | None:
    """Return in words the last of `moves` that no gate made; None without one."""
    move = next((move for move in reversed(moves) if move["cause"] != "gate"), None)
    if move is None:
        return None
    why = evidence_of(move).get("why")
    return f"{move['who']} moved the alias to version {move['to_version']}" + (f" ({why})" if why else "")


def human_choice(moves: Moves, run: str, partition: str, champion: str | None) -> str | None:
    """Return why a partition's run is not promoted: a human chose otherwise, and no verdict overrules that by accident.

    That is so for a run that was promoted before a human moved the alias: judged again, against another champion, the
    same models may win elsewhere. And for any run of the partition while its champion is a human's choice of models.
    """
    promoted = [number for number, move in enumerate(moves) if move["run"] == run and move["cause"] == "gate"]
    if promoted and (since := moved_by_human(moves[promoted[-1] + 1 :])):
        version = moves[promoted[-1]]["to_version"]
        return (
            f"run {run} was promoted before, as version {version}, and {since} since; roll back to it to have it again"
        )
    last = moves[-1] if moves else None
    if last is None or last["cause"] == "gate" or (last["partition"], last["to_version"]) != (partition, champion):
        return None
    before = newest_ancestor(moves, champion, lambda key: key < partition)
    first = f"roll back to version {before}, then promote" if before else "promote the next partition"
    return f"the champion is of this partition already, and {moved_by_human([last])}; {first}"


def version_before(moves: Moves, present: str | None) -> str | None:
    """Return the version that was champion before `present` was promoted; None where none is known.

    From a version that the journal does not know one goes to where Muster last put the alias.
    """
    if moves and first_move_to(moves, present) is None:
        return str(moves[-1]["to_version"])
    promotion = promotion_of(moves, present)
    return promotion["from_version"] if promotion else None
