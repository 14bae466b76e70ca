"""Which aliases are not where the journal says: for whoever shows it, and moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from muster.champions.alias import UNDER_WAY, position
from muster.champions.errors import NO_VERSION, AliasGone, AliasMoved, JournalGone
from muster.champions.journal import Journal
from muster.champions.lineage import champion_of, left_without
from muster.champions.names import model_names
from muster.champions.units import Unit
from muster.champions.unrecorded import gone_since_promoted, units_with_alias
from muster.storage.store import Store

Misplaced = AliasGone | AliasMoved | JournalGone


def misplaced(store: Store) -> list[Misplaced]:
    """Return what is wrong with the alias of each of a workload's champions. One call for a pack; for groups' own
    models one search, of a call a thousand.

    What a workload has now, a pack or groups' own models, the last move tells; where there is none, MLflow does, in one
    search too. A move that is just being made is not wrong.
    """
    journal = Journal(store)
    pack = journal.last is not None and journal.last["group"] is None
    positions = _of_pack(store) if pack else _of_groups(store, journal)
    if not all(map(journal.of, positions)):
        journal = Journal(store)  # they may have been promoted for the first time meanwhile
    if not positions and (gone := gone_since_promoted(store, journal)) is not None:
        return [gone]
    return [error for unit, at in positions.items() if (error := _wrong(journal, unit, at))]


def _of_pack(store: Store) -> dict[Unit, str | None]:
    unit = Unit(store.workload, store.workload)
    return {unit: position(unit)}


def _of_groups(store: Store, journal: Journal) -> dict[Unit, str | None]:
    """Return where the aliases are of all that the journal knows, or that has one nevertheless."""
    at = units_with_alias(store.workload, journal.groups)
    names = model_names(store.workload, sorted(journal.groups))
    known = [Unit(store.workload, name, group) for group, name in names.items()]
    others = [unit for unit in at if unit.group is not None or not journal.count]  # a pack of before is none of them
    return {unit: at.get(unit) for unit in (*known, *others)}


def _wrong(journal: Journal, unit: Unit, at: str | None) -> Misplaced | None:
    moves = journal.of(unit)
    if not moves:
        return JournalGone.shown(unit.workload, unit.name, str(at))
    champion, last = champion_of(moves), moves[-1]
    if at == champion or (champion is None and not left_without(moves)):
        return None
    if not last["made"] and datetime.now(UTC) - last["at"] < UNDER_WAY:
        return None
    if at is None:
        return AliasGone(unit.workload, unit.name, unit.group, str(champion))
    to = champion or NO_VERSION
    return AliasMoved.since_journalled(unit.workload, unit.name, unit.group, to, at, made=last["made"])
