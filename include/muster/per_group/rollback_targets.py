"""Which version each group goes back to: by the group's own moves, and sound before anything is moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from muster.champions.lineage import Moves, evidence_of, made_by
from muster.champions.registry import NotVouched
from muster.errors import UnknownName, bounded
from muster.models.loading import CorruptModel
from muster.per_group.champions import NotAGroupsModel, at_alias, champion, stored_bytes, takes
from muster.per_group.standing import vouch
from muster.promotion.rollback_sources import CannotRollBack
from muster.workload.spec import Workload

Row = Mapping[str, Any]


class Scope(NamedTuple):
    """The groups that a rollback is about."""

    groups: list[str]
    told: str
    """In words, for whoever asked."""


@dataclass(frozen=True)
class Step:
    """One group's way back."""

    group: str
    name: str
    """Its registered model."""
    seen: str | None
    """Where the alias stood."""
    from_version: str | None
    left: Row | None
    """The journal's last row of that version; None where it knows none."""
    target: Row
    """The journal's last row of the version to go back to."""

    @property
    def to_version(self) -> str:
        return str(self.target["to_version"])


def before(moves: Moves, version: str | None) -> Row | None:
    """Return the promotion that `version` came of, whose `from_version` stood before; None where none is known."""
    number: int | None = len(moves)
    while (number := made_by(moves, version, number)) is not None:
        if moves[number]["cause"] == "gate":
            return moves[number]
        version = moves[number]["from_version"]
    return None


def last_promotion(workload: Workload, moves: Mapping[str, Moves]) -> Scope:
    """Return the groups whose models the last promotion changed, of those that have them still.

    Groups that had no champion before it have nothing to go back to: they stay, and are named.

    Raises:
        CannotRollBack: when no champion stood before any group's.
    """
    made = {group: row for group, own in moves.items() if (row := before(own, own[-1]["to_version"]))}
    changed = {group: row for group, row in made.items() if row["from_version"] is not None}
    if not changed:
        raise CannotRollBack(workload.name, "no champion stood before any group's; name a group and its version")
    partition = max(changed.values(), key=lambda row: row["at"])["partition"]
    found = sorted(group for group, row in changed.items() if row["partition"] == partition)
    came = sorted(group for group, row in made.items() if row["partition"] == partition and group not in changed)
    told = f"{len(found)} groups that the promotion of {partition} changed go back together"
    if came:
        told += f"; {len(came)} that had no champion before it stay: {bounded(came)}"
    return Scope(found, told)


def steps(
    workload: Workload,
    moves: Mapping[str, Moves],
    names: Mapping[str, str],
    seen: Mapping[str, str | None],
    version: str | None,
    together: bool,
) -> list[Step]:
    """Return each group's way back, of those that are not there already.

    A group goes back to `version`, or to the one that stood before its present one. That is where the alias stands;
    `together` it is where the journal says, so that what was promoted together goes back together. From a version that
    the journal does not know a group goes to where Muster last put its alias.

    Raises:
        UnknownName: when `version` was never the group's champion.
        CannotRollBack: when nothing stood before some group's present version.
    """
    found: dict[str, str | None] = {}
    for group, at in seen.items():
        own = moves[group]
        known = {row["to_version"] for row in own}
        if version is not None and version not in known:
            raise UnknownName(f"earlier champion of group '{group}': version", version, known)
        found[group] = version or _target(own, own[-1]["to_version"] if together else at)
    if first := sorted(group for group, to in found.items() if to is None):
        why = f"no champion stood before the present one of {len(first)} groups: {bounded(first)}"
        raise CannotRollBack(workload.name, f"{why}; leave them out, or name one group and a version of its own")
    ways = [_step(group, names[group], at, str(found[group]), moves[group]) for group, at in seen.items()]
    return [way for way in ways if way.from_version != way.to_version]


def _target(moves: Moves, present: str | None) -> str | None:
    if made_by(moves, present) is None:
        return str(moves[-1]["to_version"])
    promotion = before(moves, present)
    return promotion["from_version"] if promotion else None


def _step(group: str, name: str, seen: str | None, to: str, moves: Moves) -> Step:
    leaves = moves[-1]["to_version"] if seen == to else seen  # moved there by hand: to be written down
    return Step(group, name, seen, leaves, _row_of(moves, leaves), _row_of(moves, to) or {})


def begun_step(row: Row, moves: Moves, name: str, seen: str | None) -> Step:
    """Return the way back that a row of the journal tells of."""
    return Step(row["group"], name, seen, row["from_version"], _row_of(moves, row["from_version"]), row)


def _row_of(moves: Moves, version: str | None) -> Row | None:
    return next((row for row in reversed(moves) if row["to_version"] == version), None)


def look(names: Mapping[str, str], groups: Collection[str]) -> dict[str, str | None]:
    """Return where each group's alias stands. One call a group."""
    return {group: at_alias(names[group]) for group in groups}


def check(workload: Workload, moves: Mapping[str, Moves], ways: Collection[Step], folder: Path) -> None:
    """Verify every version to go back to: its tags by the journal, its features by the workload, its bytes by the tag.

    Three calls a group, by way of `folder`.

    Raises:
        CannotRollBack: when some do not hold, each with its reason.
    """
    problems = {way.group: why for way in ways if (why := _problem(workload, moves[way.group], way, folder))}
    if problems:
        told = bounded(f"'{group}': {why}" for group, why in problems.items())
        raise CannotRollBack(workload.name, f"{len(problems)} groups have no sound version to go back to: {told}")


def _problem(workload: Workload, moves: Moves, way: Step, folder: Path) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        found = champion(way.name, way.group, way.to_version)
        if found is None:
            return f"version {way.to_version} is no longer registered"
        vouch(found, moves)
        if found.takes != takes(workload):
            return f"version {way.to_version} takes other features than the workload has now"
        stored_bytes(found, folder)
    except (NotAGroupsModel, NotVouched, CorruptModel) as error:
        return str(error)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return f"version {way.to_version} is no longer registered, or its files are gone"
    return None


def told_of(row: Row | None) -> dict[str, Any] | None:
    """Return what a difference tells of a model: what the journal knows of it."""
    if row is None:
        return None
    known = evidence_of(row)
    told = {"origin_run": row["run"], "origin_partition": row["partition"]}
    return told | {name: known[name] for name in ("algorithm", "score") if name in known}
