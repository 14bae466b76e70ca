"""The journal of the alias's moves: written before each move, and the arbiter of who was first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from muster.champions.errors import ALIAS
from muster.champions.units import Unit
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL

MOVES = f"alias/{ALIAS}"
"""Delta's application id that numbers the moves: of two that were begun at the same time, one commit fails."""
MADE = f"alias/{ALIAS}/made"
"""Delta's application id for the number of the last move that the alias was seen to show. Past that, an alias that
is elsewhere was moved by somebody; without it, it looks the same as a process that died before it set the alias."""
ATTEMPTS = 5
"""How often a commit is tried that fails though no move came first: somebody made, altered or tidied the table."""

Row = Mapping[str, Any]
Moves = Sequence[Row]
"""Rows of `alias_journal`, the latest last."""


class JournalMovedOn(Exception):
    """Raised when another process has written to the journal since it was read."""

    def __init__(self, last: Row) -> None:
        self.last = last


@dataclass(frozen=True)
class Move:
    """A move of a unit's alias and why it is made: a row of `alias_journal`."""

    unit: Unit
    from_version: str | None
    to_version: str
    cause: Literal["gate", "human", "rollback"]
    who: str
    run: str
    partition: str
    manifest_sha256: str
    """The digest of what is registered: a pack's manifest's, or one model's."""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def row(self, at: datetime) -> dict[str, Any]:
        """Return the journal's row."""
        columns = {name: value for name, value in vars(self).items() if name not in ("unit", "evidence")}
        evidence = json.dumps(dict(self.evidence), sort_keys=True)
        return {**columns, "group": self.unit.group, "at": at, "alias": ALIAS, "evidence": evidence}


class Journal:
    """A workload's journal as it was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = store.open("alias_journal")
        self.rows: list[dict[str, Any]] = [] if self._table is None else _rows(self._table)

    @property
    def pending(self) -> Moves:
        """The last moves that were begun and are not known to have been made."""
        made = 0 if self._table is None else self._table.transaction_version(MADE) or 0
        return self.rows[made:]

    def of(self, unit: Unit) -> Moves:
        """Return one unit's own moves."""
        return [row for row in self.rows if row["group"] == unit.group]

    def by_group(self) -> dict[str, list[Row]]:
        """Return the moves of groups' own models, by the group: none of a pack that there was at another time."""
        moves: dict[str, list[Row]] = {}
        for row in self.rows:
            if row["group"] is not None:
                moves.setdefault(row["group"], []).append(row)
        return moves

    def append(self, moves: Sequence[Move]) -> None:
        """Write moves down in one commit.

        Raises:
            JournalMovedOn: when another commit has come first since this journal was read.
        """
        table = self._table
        if table is None:
            table = self._created()
            if rows := _rows(table):  # another process has just made it, and written to it
                raise JournalMovedOn(rows[-1])
        at = datetime.now(UTC)
        if self.rows:  # clocks of two machines differ; the order of the moves is that of the journal
            at = max(at, self.rows[-1]["at"] + timedelta(microseconds=1))
        rows = [move.row(at + timedelta(microseconds=number)) for number, move in enumerate(moves)]
        self._table, self.rows = table, self._commit(table, pa.Table.from_pylist(rows, ALIAS_JOURNAL))

    def _commit(self, table: DeltaTable, added: pa.Table) -> list[dict[str, Any]]:
        """Append rows in one commit, unless another move has come first; return all rows."""
        numbered = CommitProperties(app_transactions=[Transaction(MOVES, len(self.rows) + added.num_rows)])
        for attempt in range(ATTEMPTS):
            try:
                write_deltalake(table, added, mode="append", schema_mode="merge", commit_properties=numbered)
                break
            except CommitFailedError as error:
                table.update_incremental()
                if len(rows := _rows(table)) > len(self.rows):
                    raise JournalMovedOn(rows[-1]) from error
                if attempt + 1 == ATTEMPTS:
                    raise
        table.update_incremental()
        return _rows(table)

    def _created(self) -> DeltaTable:
        location = self._store.table("alias_journal")
        with contextlib.suppress(DeltaError):  # another process makes it in the same moment
            DeltaTable.create(location, ALIAS_JOURNAL, mode="ignore")
        table = self._store.open("alias_journal")
        assert table is not None  # noqa: S101 - for the type: it has just been made
        return table

    def note_made(self) -> None:
        """Note in the table's log, without a row, that all moves were made; a later move's note is left alone."""
        if self._table is None:
            return
        number = len(self.rows)
        self._table.update_incremental()
        if (self._table.transaction_version(MADE) or 0) >= number:
            return
        noted = CommitProperties(app_transactions=[Transaction(MADE, number)])
        with contextlib.suppress(CommitFailedError):  # noted by another that finished it, or that went on from it
            self._table.create_write_transaction([], "append", self._table.schema(), commit_properties=noted)


def evidence_of(row: Row) -> dict[str, Any]:
    """Return the evidence that a row of the journal holds."""
    evidence: dict[str, Any] = json.loads(row["evidence"])
    return evidence


def _rows(table: DeltaTable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow_table().sort_by("at").to_pylist()
    return [{"group": None, **row} for row in rows]  # a journal begun before groups had models of their own lacks it
