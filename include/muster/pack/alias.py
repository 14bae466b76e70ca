"""Move the alias: journalled first, compared with what was judged, read back; the same move never twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from muster.errors import MusterError
from muster.pack.registry import ALIAS, current
from muster.runs import connect
from muster.tables import ALIAS_JOURNAL, Store
from muster.workload.spec import Workload

UNDER_WAY = timedelta(minutes=10)
"""A journalled move younger than this that the alias does not show is still being made: MLflow's client tries for 4."""
MOVES = f"alias/{ALIAS}"
"""Delta's application id that numbers the moves: of two that were begun at the same time, one commit fails."""


class AliasMoved(MusterError):
    """Raised when the alias is not at the version that was judged."""

    def __init__(self, name: str, expected: str | None, found: str | None, why: str = "") -> None:
        super().__init__(
            f"the alias '{ALIAS}' of '{name}' is at {_at(found)}, but {_at(expected)} was judged"
            f"{why and f': {why}'}; nothing was promoted: run evaluate for this partition, then promote"
        )


class MoveUnderWay(MusterError):
    """Raised when another move of the alias has begun and is not done."""

    passing = True

    def __init__(self, name: str, to_version: str, partition: str) -> None:
        super().__init__(
            f"the alias '{ALIAS}' of '{name}' is just being moved to version {to_version} by partition {partition}; "
            f"nothing was promoted: run promote again when that one has ended"
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


def journal(store: Store) -> list[dict[str, Any]]:
    """Return every move of the alias, the latest last."""
    table = store.open("alias_journal")
    return [] if table is None else _moves(table)


def _moves(table: DeltaTable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow_table().sort_by("at").to_pylist()
    return rows


def move_alias(workload: Workload, store: Store, move: Move) -> None:
    """Carry out `move`, or finish it where an earlier attempt was broken off.

    The journal comes first and is the arbiter: MLflow cannot set an alias on a condition, but of two Delta commits
    with the same number of move one fails. A move that was journalled and not made is made by the next attempt.

    Raises:
        AliasMoved: when the alias is not at `from_version`, or another move came first.
        MoveUnderWay: when another move is journalled, and not made yet.
    """
    table = DeltaTable.create(store.table("alias_journal"), ALIAS_JOURNAL, mode="ignore")
    moves = _moves(table)
    found = _current_version(workload, store)
    if moves and _same(moves[-1], move):
        if found not in (move.from_version, move.to_version):
            raise AliasMoved(workload.name, move.from_version, found, "it was moved, but not by Muster")
    else:
        _compare(workload, move, moves, found)
        _write_down(workload, table, move, moves)
    if found != move.to_version:
        connect().set_registered_model_alias(workload.name, ALIAS, move.to_version)
        found = _current_version(workload, store)
    if found != move.to_version:
        raise AliasMoved(workload.name, move.to_version, found, "it was moved by another right after")


def _current_version(workload: Workload, store: Store) -> str | None:
    champion = current(workload, store)
    return champion.version if champion else None


def _same(row: Mapping[str, Any], move: Move) -> bool:
    names = ("from_version", "to_version", "cause", "run", "manifest_sha256")
    return all(row[name] == getattr(move, name) for name in names)


def _compare(workload: Workload, move: Move, moves: list[dict[str, Any]], found: str | None) -> None:
    if moves and moves[-1]["to_version"] != found and datetime.now(UTC) - moves[-1]["at"] < UNDER_WAY:
        raise MoveUnderWay(workload.name, moves[-1]["to_version"], moves[-1]["partition"])
    if found != move.from_version:
        raise AliasMoved(workload.name, move.from_version, found)


def _write_down(workload: Workload, table: DeltaTable, move: Move, moves: list[dict[str, Any]]) -> None:
    at = datetime.now(UTC)
    if moves:  # clocks of two machines differ; the order of the moves is that of the journal
        at = max(at, moves[-1]["at"] + timedelta(microseconds=1))
    row = {**vars(move), "at": at, "alias": ALIAS, "evidence": json.dumps(dict(move.evidence), sort_keys=True)}
    numbered = CommitProperties(app_transactions=[Transaction(MOVES, len(moves) + 1)])
    try:
        write_deltalake(table, pa.Table.from_pylist([row], ALIAS_JOURNAL), mode="append", commit_properties=numbered)
    except CommitFailedError as error:
        table.update_incremental()
        winner = _moves(table)[-1]["to_version"]
        raise AliasMoved(workload.name, move.from_version, winner, "another promotion came first") from error
