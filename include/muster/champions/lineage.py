"""Which champion came of which: read from the journal, so that a rollback is no part of what came before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Moves = Sequence[Mapping[str, Any]]


def made_by(moves: Moves, version: str | None, before: int | None = None) -> int | None:
    """Return the number of the move (of the first `before`) by which `version` became champion the first time."""
    return next((n for n, move in enumerate(moves[:before]) if move["to_version"] == version), None)


def newest_ancestor(moves: Moves, version: str | None, wanted: Callable[[str], bool]) -> str | None:
    """Return `version`, or the youngest that it came of, whose partition is `wanted`; None where none stood.

    A version came of the one that was champion when it was first made champion. So what was rolled back is passed over
    by what came after, and counts again once the rollback is undone. A version that the journal does not know (the
    alias was set by hand) is returned as it is: nobody can tell what it came of.
    """
    number: int | None = len(moves)
    while version is not None and (number := made_by(moves, version, number)) is not None:
        if wanted(moves[number]["partition"]):
            break
        version = moves[number]["from_version"]
    return version


def evidence_of(move: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence that a row of the journal holds."""
    found: dict[str, Any] = json.loads(move["evidence"])
    return found


def moved_by_human(moves: Moves) -> str | None:
    """Tell the last of `moves` that no gate made; None without one."""
    move = next((move for move in reversed(moves) if move["cause"] != "gate"), None)
    if move is None:
        return None
    why = evidence_of(move).get("why")
    return f"{move['who']} moved the alias to version {move['to_version']}" + (f" ({why})" if why else "")


def settled_by_human(moves: Moves, run: str, partition: str, champion: str) -> str | None:
    """Tell why a partition's run is not promoted: a human settled otherwise, and no verdict overrules that by accident.

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
