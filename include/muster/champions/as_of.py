"""The champion of a partition's own time: the present one, or the youngest that it came of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from muster.champions.journal import Journal
from muster.champions.lineage import newest_ancestor
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion, current, of_move
from muster.storage.store import Store


@dataclass(frozen=True)
class AsOf:
    """How far back a stage looks for a champion."""

    partition: str
    including: bool
    """Whether what was promoted for the partition itself counts."""

    @classmethod
    def today(cls) -> AsOf:
        """Return how far back one looks who wants the present champion, whatever it has learnt from."""
        return cls(date.max.isoformat(), including=True)

    def old_enough(self, partition: str) -> bool:
        """Tell whether a champion of `partition` counts."""
        return partition < self.partition or (self.including and partition == self.partition)

    def champion(self, unit: Unit, journal: Journal, store: Store) -> RegisteredVersion | None:
        """Return the champion of that time: the present one, or the youngest that it came of. One or two calls.

        Raises:
            AliasGone, ForeignVersion, MovesMissing, NotVouched, VersionGone: as `current` and `of_move` do.
        """
        present = current(unit, journal, store)
        if present is None or self.old_enough(present.partition):
            return present
        moves = journal.of(unit)
        before = newest_ancestor(moves, present.version, self.old_enough)
        return None if before is None else of_move(unit, before, moves, store)
