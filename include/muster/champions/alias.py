"""Move the alias: journalled first, compared with what was judged, read back; the same move never twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from muster.champions.journal import journal as journal
from muster.champions.journal import moves as _moves
from muster.champions.registry import ALIAS, standing
from muster.errors import MusterError
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL
from muster.workload.spec import Workload

UNDER_WAY = timedelta(minutes=10)
"""A journalled move younger than this that the alias does not show is still being made: its calls may have to wait."""
MOVES = f"alias/{ALIAS}"
"""Delta's application id that numbers the moves: of two that were begun at the same time, one commit fails."""
MADE = f"alias/{ALIAS}/made"
"""Delta's application id for the number of the last move that the alias was seen to show. Past that, an alias that
stands elsewhere was moved by somebody; without it, it looks the same as a process that died before it set the alias."""


class AliasMoved(MusterError):
    """Raised when the alias is not at the version that was judged, or that a rollback was planned against."""

    def __init__(self, name: str, expected: str | None, found: str | None, why: str = "", gate: bool = True) -> None:
        then = "was judged; nothing was promoted: run evaluate for this partition, then promote"
        if not gate:
            then = f"was looked at; nothing was moved: look again with './muster rollback {name} --dry-run'"
        at = f"{_at(found)}{why and f' ({why})'}"
        super().__init__(f"the alias '{ALIAS}' of '{name}' is at {at}, but {_at(expected)} {then}")


class MoveUnderWay(MusterError):
    """Raised when another move of the alias has begun and is not done."""

    retryable = True

    def __init__(self, name: str, row: Mapping[str, Any]) -> None:
        until = row["at"] + UNDER_WAY
        super().__init__(
            f"the alias '{ALIAS}' of '{name}' is just being moved to version {row['to_version']} by partition "
            f"{row['partition']} ({row['cause']}); nothing was moved: try again when that has ended, "
            f"or after {until:%H:%M} UTC if it never does"
        )


def _at(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"


@dataclass(frozen=True)
class Move:
    """A move of the alias and why it is made: a row of `alias_journal`."""

    from_version: str | None
    to_version: str
    cause: Literal["gate", "human", "rollback"]
    who: str
    run: str
    partition: str
    manifest_sha256: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    """Whose registered model's alias moves; None where one pack holds all groups."""


def unfinished(store: Store) -> bool:
    """Tell whether the last move of the journal was begun and is not known to have been made."""
    table = store.open("alias_journal")
    return table is not None and is_unfinished(table, len(_moves(table)))


def is_unfinished(table: DeltaTable, moves: int) -> bool:
    """Tell whether the last of so many moves is not noted as made."""
    return (table.transaction_version(MADE) or 0) < moves


@muster_errors()
def move_alias(workload: Workload, store: Store, move: Move) -> None:
    """Carry out `move`, or finish it where an earlier attempt was broken off.

    The journal comes first and is the arbiter: MLflow cannot set an alias on a condition, but of two Delta commits
    with the same number of move one fails. A move that was journalled and not made is made by the next attempt; one
    that was made is never repeated, so what somebody did to the alias by hand since then stays. A rollback to where
    the alias was put by hand only writes it down.

    Raises:
        AliasMoved: when the alias is not at `from_version`, or another move came first.
        MoveUnderWay: when another move is journalled, and not made yet.
    """
    table = DeltaTable.create(store.table("alias_journal"), ALIAS_JOURNAL, mode="ignore")
    moves = _moves(table)
    number, found = len(moves), standing(workload)
    begun = bool(moves) and _same(moves[-1], move)
    if begun and (found == move.to_version or is_unfinished(table, number)):
        if found not in (move.from_version, move.to_version):
            raise _moved(workload, move, found, "it was moved, but not by Muster")
    else:
        if begun and move.cause == "gate":
            raise _moved(workload, move, found, "it was moved by hand after this very promotion")
        _compare(workload, table, move, moves, found)
        write_down(workload, table, [move], moves)
        number += 1
    if found != move.to_version:
        connect().set_registered_model_alias(workload.name, ALIAS, move.to_version)
        found = standing(workload)
    if found != move.to_version:
        raise _moved(workload, move, found, "it was moved by another right after")
    note_made(table, number)


def _moved(workload: Workload, move: Move, found: str | None, why: str = "") -> AliasMoved:
    return AliasMoved(workload.name, move.from_version, found, why, gate=move.cause == "gate")


def _same(row: Mapping[str, Any], move: Move) -> bool:
    names = ("from_version", "to_version", "cause", "run", "manifest_sha256")
    return all(row[name] == getattr(move, name) for name in names)


def _compare(workload: Workload, table: DeltaTable, move: Move, moves: list[dict[str, Any]], found: str | None) -> None:
    journalled = moves[-1]["to_version"] if moves else None
    if journalled != found and is_unfinished(table, len(moves)) and datetime.now(UTC) - moves[-1]["at"] < UNDER_WAY:
        raise MoveUnderWay(workload.name, moves[-1])
    by_hand = move.cause == "rollback" and (found, journalled) == (move.to_version, move.from_version)
    if found != move.from_version and not by_hand:
        raise _moved(workload, move, found)


def write_down(workload: Workload, table: DeltaTable, made: Sequence[Move], moves: Sequence[Mapping[str, Any]]) -> None:
    """Append moves to the journal of `moves`, in one commit.

    Raises:
        AliasMoved: when another commit has come first.
    """
    at = datetime.now(UTC)
    if moves:  # clocks of two machines differ; the order of the moves is that of the journal
        at = max(at, moves[-1]["at"] + timedelta(microseconds=1))
    rows = [
        {**vars(move), "at": at + timedelta(microseconds=n), "alias": ALIAS}
        | {"evidence": json.dumps(dict(move.evidence), sort_keys=True)}
        for n, move in enumerate(made)
    ]
    numbered = CommitProperties(app_transactions=[Transaction(MOVES, len(moves) + len(made))])
    try:
        added = pa.Table.from_pylist(rows, ALIAS_JOURNAL)
        write_deltalake(table, added, mode="append", schema_mode="merge", commit_properties=numbered)
    except CommitFailedError as error:
        table.update_incremental()
        winner = _moves(table)[-1]["to_version"]
        raise _moved(workload, made[0], winner, "another move came first") from error


def note_made(table: DeltaTable, number: int) -> None:
    """Note in the journal's log, without a row, that move `number` was made; a later move's note is left alone."""
    table.update_incremental()
    if not is_unfinished(table, number):
        return
    noted = CommitProperties(app_transactions=[Transaction(MADE, number)])
    with contextlib.suppress(CommitFailedError):  # noted by another that finished it, or that went on from it
        table.create_write_transaction([], "append", table.schema(), commit_properties=noted)
