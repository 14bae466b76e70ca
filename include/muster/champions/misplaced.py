"""Which aliases are not where the journal says: for whoever shows it, and moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from muster.champions.alias import UNDER_WAY, models_with_alias, position
from muster.champions.errors import ALIAS, AliasGone, AliasMoved
from muster.champions.journal import Journal
from muster.champions.lineage import champion_of
from muster.champions.names import model_names
from muster.champions.units import Unit
from muster.storage.store import Store


def misplaced(store: Store) -> list[AliasGone | AliasMoved]:
    """Return what is wrong with the alias of each of a workload's champions. One call for a pack; for groups' own
    models one search, of a call a thousand.

    What a workload has now, a pack or groups' own models, the last move tells. A move that is just being made is not
    wrong.
    """
    journal = Journal(store)
    if journal.last is None:
        return []
    positions = _of_pack(store) if journal.last["group"] is None else _of_groups(store, journal)
    return [error for unit, at in positions.items() if (error := _wrong(journal, unit, at))]


def _of_pack(store: Store) -> dict[Unit, str | None]:
    unit = Unit(store.workload, store.workload)
    return {unit: position(unit)}


def _of_groups(store: Store, journal: Journal) -> dict[Unit, str | None]:
    names = model_names(store.workload, sorted(journal.groups))
    # Not every registry keeps capitals.
    at = {model.name.lower(): str(model.aliases[ALIAS]) for model in models_with_alias(store.workload)}
    return {Unit(store.workload, name, group): at.get(name.lower()) for group, name in names.items()}


def _wrong(journal: Journal, unit: Unit, at: str | None) -> AliasGone | AliasMoved | None:
    moves = journal.of(unit)
    champion, last = champion_of(moves), moves[-1]
    if champion in (None, at) or (not last["made"] and datetime.now(UTC) - last["at"] < UNDER_WAY):
        return None
    if at is None:
        return AliasGone(unit.workload, unit.name, unit.group, str(champion))
    return AliasMoved.since_journalled(unit.workload, unit.name, unit.group, str(champion), at, made=last["made"])
