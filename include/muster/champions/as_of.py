"""The champion of a partition's own time: the present one, or the youngest that it came of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from muster.champions.journal import Journal, Moves, Row
from muster.champions.lineage import newest_ancestor, promoted_by
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion, current, of_move
from muster.storage.store import Store
from muster.workload.spec import Workload


@dataclass(frozen=True)
class AsOf:
    """How far back a stage looks for a champion."""

    partition: str
    including: bool
    """Whether what was promoted for the partition itself counts."""
    before: str | None = None
    """A run whose own promotion does not count, nor what came of it: a retry's, judged once more."""

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
        present, moves = current(unit, journal, store), journal.of(unit)
        if present is None or (self.old_enough(present.partition) and not self._came_of(moves, present.version)):
            return present
        before = self.move(moves, present.version)
        return None if before is None else of_move(unit, before, moves, store)

    def move(self, moves: Moves, version: str | None) -> Row | None:
        """Return the move to `version`, where it is old enough, or to the youngest that it came of.

        Raises:
            MovesMissing: as `newest_ancestor` does.
        """
        own = self._came_of(moves, version)
        return newest_ancestor(moves, own["from_version"] if own else version, self.old_enough)

    def _came_of(self, moves: Moves, version: str | None) -> Row | None:
        """Return the promotion of the run that does not count, where `version` is it or came of it."""
        return None if self.before is None else promoted_by(moves, version, self.before)


def to_score(workload: Workload, partition: str) -> AsOf:
    """Return how far back scoring looks: to the slice's own partition where it waits for that to be promoted."""
    return AsOf(partition, including=workload.retrain is None or workload.retrain.score_waits)
