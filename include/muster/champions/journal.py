"""The journal of the alias's moves: written before each move, and the arbiter of who was first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from muster.champions.errors import ALIAS
from muster.champions.units import Unit
from muster.storage.delta import created, dataset
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL

MOVES = f"alias/{ALIAS}"
"""Delta's application id that numbers the moves: of two that were begun at the same time, one commit fails."""
MADE = f"alias/{ALIAS}/made"
"""Delta's application id for the number of the last move that the alias was seen to show. Past that, an alias that
is elsewhere was moved by somebody; without it, it looks the same as a process that died before it set the alias."""
UNMADE = "muster.alias.unmade"
"""The table's property with the numbers of moves before that one that are not known to have been made: one unit's move
that was broken off does not keep the other units' from being noted."""
ATTEMPTS = 5
"""How often a commit is tried that fails though no move came first: somebody made, altered or tidied the table."""

Row = Mapping[str, Any]
Moves = Sequence[Row]
"""Rows of `alias_journal`, the latest last; each with `made`: whether it is known that the alias was moved."""


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
    """A workload's journal as it was read, or some groups' rows of it: in Arrow, a unit's rows made when asked for."""

    def __init__(self, store: Store, groups: Collection[str] | None = None, version: int | None = None) -> None:
        self._store, self._groups = store, groups
        self._load(store.open("alias_journal", version))

    def _load(self, table: DeltaTable | None) -> None:
        self._table = table
        self._hold(_read(table, self._groups))
        self._notes = _notes(table, None if self._groups is not None else self._moves["at"])

    def moves_to(self, unit: Unit, version: str, digest: str) -> Moves:
        """Return a unit's own moves; where none is to `version` with this digest, the journal is read again first.

        For whoever saw the alias there after reading the journal: a move is written down before it is made.
        """
        moves = self.of(unit)
        if not any((move["to_version"], move["manifest_sha256"]) == (version, digest) for move in moves):
            self._load(self._store.open("alias_journal"))
            moves = self.of(unit)
        return moves

    @property
    def version(self) -> int | None:
        """The table's version: another process that reads it reads the same."""
        return None if self._table is None else self._table.version()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All moves, the latest last."""
        return self._dicts(self._moves)

    @property
    def count(self) -> int:
        """How many moves there are."""
        return int(self._moves.num_rows)

    @property
    def last(self) -> Row | None:
        """The latest move."""
        return next(iter(self._dicts(self._moves.slice(max(0, self.count - 1)))), None)

    @property
    def pending(self) -> Moves:
        """The moves that were begun, are not known to have been made, and that no move of the same unit ended."""
        return [
            row for row in self._dicts(self._moves.filter(pc.field("at") >= self._notes.open_from)) if not row["made"]
        ]

    def moved_since(self, at: datetime, partition: str) -> frozenset[str | None]:
        """Return which groups (None: the pack) may have another champion of a partition's time since `at`.

        What the gate promoted for a later partition changes nothing of that time.
        """
        of_that_time = (pc.field("cause") != "gate") | (pc.field("partition") <= partition)
        return frozenset(self._moves.filter((pc.field("at") > at) & of_that_time)["group"].to_pylist())

    @property
    def last_moves(self) -> pa.Table:
        """The last move of each unit: its `group`, `partition`, `to_version` and `at`; of a pack the group is null."""
        columns = ["group", "partition", "to_version", "at"]
        grouped = self._moves.select(columns).group_by("group", use_threads=False)  # else nobody knows which is last
        return grouped.aggregate([(name, "last") for name in columns[1:]]).rename_columns(columns)

    def of(self, unit: Unit) -> Moves:
        """Return one unit's own moves."""
        return self.of_group(unit.group)

    def of_group(self, group: str | None) -> Moves:
        """Return the moves of a group's own model; of None those of the pack of all groups."""
        return self._dicts(self._moves.take(pa.array(self._places.get(group, []), pa.int64())))

    @property
    def groups(self) -> frozenset[str]:
        """The groups with a registered model of their own: none of a pack that there was at another time."""
        return frozenset(group for group in self._places if group is not None)

    @cached_property
    def _places(self) -> dict[str | None, list[int]]:
        places: dict[str | None, list[int]] = {}
        for place, group in enumerate(self._moves["group"].to_pylist()):
            places.setdefault(group, []).append(place)
        return places

    def _dicts(self, moves: pa.Table) -> list[dict[str, Any]]:
        return [{**row, "made": self._notes.made(row["at"])} for row in moves.to_pylist()]

    def _hold(self, moves: pa.Table) -> None:
        self._moves = moves
        self.__dict__.pop("_places", None)

    def append(self, moves: Sequence[Move]) -> list[dict[str, Any]]:
        """Write moves down in one commit; return their rows.

        Raises:
            JournalMovedOn: when another commit has come first since this journal was read.
        """
        table = self._table
        if table is None:
            table = created(self._store, "alias_journal", ALIAS_JOURNAL)
            if (first := _read(table)).num_rows:  # another process has just made it, and written to it
                raise JournalMovedOn(first.slice(first.num_rows - 1).to_pylist()[0])
        at = datetime.now(UTC)
        if self.last:  # clocks of two machines differ; the order of the moves is that of the journal
            at = max(at, self.last["at"] + timedelta(microseconds=1))
        rows = [move.row(at + timedelta(microseconds=number)) for number, move in enumerate(moves)]
        added = pa.Table.from_pylist(rows, ALIAS_JOURNAL)
        self._commit(table, added)
        self._table = table
        self._hold(pa.concat_tables([self._moves, added]))
        return self._dicts(added)

    def _commit(self, table: DeltaTable, added: pa.Table) -> None:
        """Append rows in one commit, unless another move has come first: so nothing but them is new."""
        numbered = CommitProperties(app_transactions=[Transaction(MOVES, self.count + added.num_rows)])
        for attempt in range(ATTEMPTS):
            try:
                write_deltalake(table, added, mode="append", schema_mode="merge", commit_properties=numbered)
                break
            except CommitFailedError as error:
                table.update_incremental()
                now = _read(table)
                if now.slice(self.count, added.num_rows).equals(added):  # this very commit, whose answer was lost
                    break
                if now.num_rows > self.count:
                    raise JournalMovedOn(now.slice(now.num_rows - 1).to_pylist()[0]) from error
                if attempt + 1 == ATTEMPTS:
                    raise
        table.update_incremental()

    def note_made(self, units: Collection[Unit]) -> None:
        """Note in the table's log, without a row, that the last moves of some units were made, or are settled.

        What others have noted stays. Where no commit is had, the moves are finished once more: they are there already.
        """
        settled = {place + 1 for unit in units for place in self._places.get(unit.group, [])}
        for _ in range(ATTEMPTS if self._table is not None and settled else 0):
            with contextlib.suppress(CommitFailedError):  # another has noted its own in this moment
                self._note(settled)
                break
        self._notes = _notes(self._table)

    def _note(self, settled: Collection[int]) -> None:
        assert self._table is not None  # noqa: S101 - for the type: it has moves
        self._table.update_incremental()
        until, unmade = self._table.transaction_version(MADE) or 0, _unmade(self._table)
        still = unmade.union(range(until + 1, self.count + 1)).difference(settled)
        noted = CommitProperties(app_transactions=[Transaction(MADE, max(until, self.count))])
        if still != unmade:
            numbers = {UNMADE: json.dumps(sorted(still))}
            self._table.alter.set_table_properties(numbers, raise_if_not_exists=False, commit_properties=noted)
        elif until < self.count:
            self._table.create_write_transaction([], "append", self._table.schema(), commit_properties=noted)
        self._table.update_incremental()


def evidence_of(row: Row) -> dict[str, Any]:
    """Return the evidence that a row of the journal holds."""
    evidence: dict[str, Any] = json.loads(row["evidence"])
    return evidence


def _read(table: DeltaTable | None, groups: Collection[str] | None = None) -> pa.Table:
    """Return the moves, or those of some groups, the latest last."""
    if table is None:
        return ALIAS_JOURNAL.empty_table()
    known = "group" in {field.name for field in table.schema().fields}  # else begun before groups had their own models
    only = pc.field("group").isin(pa.array(sorted(groups), pa.string())) if groups is not None and known else None
    moves = dataset(table).to_table(filter=only)
    if not known:
        moves = moves.append_column("group", pa.nulls(moves.num_rows, pa.string()))
    return moves.select(ALIAS_JOURNAL.names).cast(ALIAS_JOURNAL).sort_by("at").combine_chunks()


@dataclass(frozen=True)
class _Notes:
    """Which moves are known to have been made: those up to a time, but for some."""

    until: datetime
    unmade: frozenset[datetime]

    def made(self, at: datetime) -> bool:
        return at <= self.until and at not in self.unmade

    @property
    def open_from(self) -> datetime:
        """Return a time before which all moves are known to have been made."""
        return min(self.unmade, default=self.until)


def _unmade(table: DeltaTable) -> frozenset[int]:
    return frozenset(json.loads(table.metadata().configuration.get(UNMADE, "[]")))


def _notes(table: DeltaTable | None, times: pa.ChunkedArray | None = None) -> _Notes:
    """Return which moves are known to have been made, by when they were journalled: `times` where all were read."""
    made = 0 if table is None else table.transaction_version(MADE) or 0
    if table is None or not made:
        return _Notes(datetime.min.replace(tzinfo=UTC), frozenset())
    if times is None:
        times = dataset(table).to_table(columns=["at"]).sort_by("at")["at"]
    at = times.to_pylist()
    return _Notes(at[min(made, len(at)) - 1], frozenset(at[number - 1] for number in _unmade(table)))
