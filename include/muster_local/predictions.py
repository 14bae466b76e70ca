"""Which predictions are not what score would write now: compared by journal and facts, none of their rows is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from muster.champions.as_of import AsOf
from muster.champions.journal import Journal, Moves, Row
from muster.champions.lineage import champion_of, last_row_of, newest_ancestor, same_bytes
from muster.champions.units import is_pack
from muster.context import Context
from muster.features.made_from import ASKED, corrected, slice_days
from muster.features.slices import contents
from muster.printable import number
from muster.storage.provenance import facts
from muster.workload.windows import DateRange

OTHER_FEATURES = "features were built of other rows since"


@dataclass(frozen=True)
class Scored:
    """A partition as score has left it."""

    partition: str
    days: DateRange
    """Those of its slice."""
    report: Mapping[str, Any]
    ended: float
    """When, in seconds since the epoch."""

    @property
    def of_today(self) -> bool:
        """Whether somebody had it scored by the champion of that day: no later one makes that old."""
        return bool(self.report.get("champion") == "today")

    @property
    def champions_at(self) -> datetime:
        """When its champions were looked up: whoever moved one while it was scored, moved it since."""
        return datetime.fromtimestamp(self.report.get("champions_at", self.ended), UTC)


@dataclass(frozen=True)
class Predictions:
    """All scored partitions of a workload, in order. What it costs grows with them, the journal and the facts."""

    context: Context
    scored: Sequence[Scored]

    def old(self) -> dict[str, tuple[str, ...]]:
        """Return partition -> why its predictions are old, of those that are, in order."""
        champions, reasons = self._other_champions(), {}
        for one in self.scored:
            features = (OTHER_FEATURES,) if self._other_features(one) else ()
            reasons[one.partition] = (*champions.get(one.partition, ()), *features)
        return {partition: why for partition, why in reasons.items() if why}

    def _other_champions(self) -> dict[str, tuple[str]]:
        """Return in words whose champions of a slice's own time are others than those that have answered."""
        journal, pack = Journal(self.context.store), is_pack(self.context.workload)
        of_their_time = [one for one in self.scored if not one.of_today]
        moved = {one.partition: journal.moved_since(one.champions_at, one.partition) for one in of_their_time}
        changed = Counter[str]()
        for group in set[str | None]().union(*moved.values()):
            if (group is None) == pack:  # else of the registry that the workload had before
                moves = journal.of_group(group)
                of = [one for one in of_their_time if group in moved[one.partition]]
                changed.update(one.partition for one in of if _other_champion(one, moves, self._as_of(one)))
        return {partition: (_words(None if pack else count),) for partition, count in changed.items()}

    def _as_of(self, one: Scored) -> AsOf:
        return AsOf(one.partition, including=not one.report.get("by_earlier"))

    def _other_features(self, one: Scored) -> bool:
        """Tell whether a slice's features hold other rows than were scored.

        Of the last one, for whatever reason. Those of before are as their time had them: other code or columns are no
        reason to score them again by champions that have learnt from the former; a correction is one.
        """
        if "features" not in one.report:  # scored by an older Muster
            return False
        then: Mapping[str, str] = one.report["features"]
        now = {first: digest for first, digest in self._contents.items() if self._touches(first, one.days)}
        if one is self.scored[-1]:
            asked = {first for first in then.keys() & now.keys() if self._asked_alike(first, then[first], now[first])}
            return any(then.get(first) != now.get(first) for first in then.keys() | now.keys() if first not in asked)
        return any(self._corrected(first, digest, now[first]) for first, digest in then.items() if first in now)

    def _touches(self, first: str, days: DateRange) -> bool:
        built = slice_days(self.context.workload, date.fromisoformat(first))
        return built.start < days.stop and days.start < built.stop

    def _corrected(self, first: str, then: str, now: str) -> bool:
        before, after = (self._made_from.get((first, digest)) for digest in (then, now))
        differs = then != now and before is not None and after is not None and corrected(before, after)
        return differs and not self._asked_alike(first, then, now)

    def _asked_alike(self, first: str, then: str, now: str) -> bool:
        """Tell whether a slice's models would be asked the same: nothing but labels has changed."""
        before, after = (self._made_from.get((first, digest), {}).get(ASKED) for digest in (then, now))
        return before is not None and before == after

    @cached_property
    def _contents(self) -> Mapping[str, str]:
        return contents(self.context, DateRange(self.scored[0].days.start, self.scored[-1].days.stop))

    @cached_property
    def _made_from(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """What every content that a slice has ever had was made from."""
        return {(fact.slice, fact.digest): fact.made_from for fact in facts(self.context.store, "features")}


def _other_champion(one: Scored, moves: Moves, as_of: AsOf) -> bool:
    version, today = one.report.get("model_version"), _champion(moves, as_of)
    if version is not None:  # a pack's; without a champion of that time nothing is scored
        return today is not None and not same_bytes(last_row_of(moves, version), today)
    then = _champion([move for move in moves if move["at"] <= one.champions_at], as_of)
    return then is not today and not same_bytes(then, today)


def _champion(moves: Moves, as_of: AsOf) -> Row | None:
    """Return the move to the champion of a slice's own time."""
    return newest_ancestor(moves, champion_of(moves), as_of.old_enough)


def _words(groups: int | None) -> str:
    if groups is None:
        return "another champion would answer now"
    return f"{number(groups, 'group')} would be answered by another champion now"
