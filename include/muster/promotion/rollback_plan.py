"""A rollback that was compared with what is champion: carried out against just that, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from muster.champions.alias import at_version
from muster.champions.errors import NO_VERSION
from muster.champions.journal import Moves, Row, evidence_of
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion
from muster.errors import MusterError, WrongArgument, bounded
from muster.groups import nearest
from muster.models.layers import PackAt
from muster.printable import number
from muster.promotion.difference import SHOWN, Change, counted


class CannotRollBack(MusterError):
    """Raised when there is nothing to go back to, or what there is cannot be scored with."""

    def __init__(self, workload: str, why: str) -> None:
        super().__init__(f"{workload} cannot be rolled back: {why}; nothing was moved")


class NoSuchGroups(WrongArgument):
    """Raised when groups are named that have no model."""

    def __init__(self, groups: Collection[str], where: str, known: Collection[str]) -> None:
        near = dict.fromkeys(f"'{one}'" for group in sorted(groups)[:3] for one in nearest(group, known, 1))
        hint = f"did you mean {bounded(near)}?" if near else "write them as the tables do"
        names = bounded(f"'{group}'" for group in sorted(groups))
        have = f"{number(len(groups), 'group')} {'has' if len(groups) == 1 else 'have'}"
        super().__init__(f"{have} no model in {where}: {names}; {hint}")


@dataclass(frozen=True)
class Target:
    """What a unit goes back to."""

    version: str | None
    """None where it is still to be registered."""
    digest: str
    run: str
    partition: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the journal tells again of the model."""
    manifest: pa.Table | None = None
    """The rows of the pack to register, their shards as paths below the store's root."""
    imports: Sequence[str] = ()
    """What that pack's models may name."""
    base: PackAt | None = None
    """The pack that its manifest is written over."""
    again: RegisteredVersion | None = None
    """The version that somebody deleted, and that is registered again; or whose files are uploaded again."""
    lost: bool = False
    """Whether its files are gone in MLflow, so that they are uploaded as the store has them."""


@dataclass(frozen=True)
class Step:
    """One unit's way back."""

    unit: Unit
    seen: str | None
    """Where the alias was: another version than `from_version` only where a move is finished or written down."""
    from_version: str | None
    target: Target

    @property
    def nothing(self) -> bool:
        """Whether the unit is there already, and nothing of it is lost."""
        there = self.target.version is not None and self.target.version == self.from_version
        return there and not self.target.lost


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do."""

    asked: Mapping[str, Any]
    """`version` and `groups`, by which the same rollback is known again."""
    steps: Sequence[Step]
    changes: Sequence[Change]
    """Each changed group's model before and after."""
    groups: int
    """Groups that have a model afterwards."""
    number: int
    """Moves of the journal when it was read."""
    against: str
    """What was champion then: a pack's version, or a digest of many aliases."""
    begun: bool = False
    """Whether the journal has it already: it is finished then, not made again."""
    fallback: str | None = None
    """What answers for groups that disappear."""
    problem: str | None = None
    """Why the champion's own pack was not read: every group of the target counts as changed then."""
    scope: str | None = None
    """What is rolled back, in words, where each group has versions of its own."""

    @property
    def nothing(self) -> bool:
        """Whether all is as asked already; a move that was begun is finished."""
        if self.begun:
            return False
        return not self.steps or all(step.nothing for step in self.steps) or (not self.changes and self._makes_a_pack)

    @property
    def _makes_a_pack(self) -> bool:
        return any(step.target.version is None for step in self.steps)

    @property
    def uploads_again(self) -> list[str]:
        """What is uploaded again, since MLflow has lost it: groups' models, or the pack."""
        return [str(step.unit) for step in self.steps if step.target.lost]

    @property
    def difference(self) -> dict[str, Any]:
        """What the rollback changes: counts of all groups, and the first of them by name.

        The versions are named where there is one unit; several have one each.
        """
        one = self.steps[0] if len(self.steps) == 1 else None
        return {
            "from_version": one.from_version if one else None,
            "to_version": one.target.version if one else None,
            "against": self.against,
            "scope": self.scope,
            "asked": brief(self.asked),
            "partition": max((step.target.partition for step in self.steps), default=None),
            "nothing_to_do": self.nothing,
            "groups": self.groups,
            **counted(self.changes),
            "fallback": self.fallback,
            "problem": self.problem,
            "uploads_again": len(self.uploads_again),
            "uploaded": self.uploads_again[:SHOWN],
        }


def brief(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for as each of its moves repeats it: of many groups a digest, since each has a move."""
    groups = asked["groups"]
    if len(groups) > SHOWN:
        groups = [f"{len(groups)} groups, {hashlib.sha256(json.dumps(groups).encode()).hexdigest()[:16]}"]
    return {**asked, "groups": groups}


def begun_before(moves: Collection[Moves], asked: Mapping[str, Any], against: str | None) -> Moves:
    """Return the rows of the very rollback that is asked for, begun or made, of units that have not moved on since.

    `moves` are each unit's own. One that was broken off is ended, whatever other units did meanwhile; one that was made
    is the same only to who has seen what was champion before it.
    """
    rollbacks = [row for own in moves for row in own if row["cause"] == "rollback"]
    same = [row for row in rollbacks if evidence_of(row).get("asked") in (brief(asked), asked)]  # once it was all named
    if not same:
        return []
    seen = against_of(max(same, key=lambda row: row["at"]))
    same = [row for row in same if against_of(row) == seen]
    latest = {own[-1]["group"]: own[-1] for own in moves if own}
    last = [row for row in same if row is latest[row["group"]]]
    begun = any(not row["made"] for row in last) or (against is not None and last == same)
    return last if begun and against in (None, seen) else []


def moved_on_from(rows: Moves, positions: Mapping[str | None, str | None]) -> bool:
    """Tell whether somebody moved an alias on, by hand, from where a rollback's moves begin or end."""
    ends = {
        row["group"]: {at_version(row["to_version"]), *([] if row["made"] else [row["from_version"]])} for row in rows
    }
    return any(positions[group] not in at for group, at in ends.items())


def against_of(row: Row) -> str:
    """Return what was champion when the rollback of a journal's row was compared."""
    return str(evidence_of(row).get("against", row["from_version"] or NO_VERSION))
