"""Which version each group goes back to, where each is a registered model: by its own moves, verified before any."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from muster.champions.alias import at_version, position
from muster.champions.errors import (
    NO_VERSION,
    PRESENT,
    AliasMoved,
    ForeignVersion,
    ModelLost,
    NameTaken,
    NotVouched,
    VersionGone,
)
from muster.champions.in_store import PLACE
from muster.champions.journal import Journal, Moves, Row, evidence_of
from muster.champions.lineage import RESTORED, champion_before, last_row_of, latest_of, left_without, promotion_of, same
from muster.champions.lost import is_whole, stored_bytes
from muster.champions.scratch import scratch
from muster.champions.units import Unit, units
from muster.champions.unrecorded import check_all_recorded, check_begun
from muster.champions.versions import of_move
from muster.context import Context
from muster.errors import UnknownName, WrongArgument, bounded
from muster.printable import number
from muster.promotion.difference import Change
from muster.promotion.rollback_plan import (
    CannotRollBack,
    NoSuchGroups,
    RollbackPlan,
    Step,
    Target,
    against_of,
    begun_before,
    moved_on_from,
)
from muster.settings import rollback_command
from muster.workload.spec import Parent

CARRIED = (
    *("rows", "positives", "prior", "target", "parent", "algorithm", "probabilities", "mlflow_run_id", "score"),
    *("loads", "takes", "keys", *PLACE),
)
"""What the journal says of a model, repeated by the move back to it."""

UNSOUND = (ForeignVersion, ModelLost, NameTaken, NotVouched, VersionGone)
"""What is wrong with a version that is not gone back to."""


class Scope(NamedTuple):
    """The groups that a rollback is about."""

    groups: list[str]
    text: str
    """In words, for whoever asked."""


def plan_groups(context: Context, journal: Journal, asked: Mapping[str, Any], against: str | None) -> RollbackPlan:
    """Find out what a rollback of groups' own champions would do, and whether it can; four calls a group.

    Raises:
        CannotRollBack: when there is nothing to go back to, or it cannot be scored with.
        JournalGone: when there are champions that the journal has no move of.
        WrongArgument: when a version is asked for with no group or several.
        NoSuchGroups: when a group never had a champion.
        UnknownName: when the version was never the group's champion.
        AliasMoved: when anything was moved since `against` was read.
    """
    workload, version, groups = context.workload, asked["version"], asked["groups"]
    if version == NO_VERSION and not groups:
        raise WrongArgument(f"{workload.name}: version '{NO_VERSION}' leaves groups without a champion; name them")
    if version not in (None, NO_VERSION, PRESENT) and len(groups) != 1:
        why = f"each group has versions of its own, so version '{version}' goes with exactly one group"
        raise WrongArgument(f"{workload.name}: {why}, not {len(groups)}; name that one")
    moves = {group: journal.of_group(group) for group in sorted(journal.groups)}
    unknown = set(groups) - moves.keys()
    if unknown or not groups:  # a group's own way back needs no other group's moves
        check_all_recorded(context.store, journal)
    check_begun(context.store, journal)
    if not moves:
        raise CannotRollBack(workload.name, "there is no champion yet")
    if unknown:
        raise NoSuchGroups(unknown, "alias_journal", moves)
    plan = _begun(context, journal, moves, asked, against) or _new(context, journal, moves, asked)
    if against not in (None, plan.against):
        raise AliasMoved.some_since_compared(workload.name)
    fallback = workload.pack.fallback
    answers = "parent" if isinstance(fallback, Parent) else fallback
    return replace(plan, steps=_checked(context, moves, plan), fallback=answers)


def _begun(
    context: Context, journal: Journal, moves: Mapping[str, Moves], asked: Mapping[str, Any], against: str | None
) -> RollbackPlan | None:
    """Return the very rollback that is asked for, where the journal has it and its groups have not moved on."""
    rows = begun_before(moves.values(), asked, against)
    answering = units(context.workload, [row["group"] for row in rows])
    positions = {group: position(unit) for group, unit in answering.items()}
    if not rows or moved_on_from(rows, positions):
        return None
    steps = [Step(answering[row["group"]], positions[row["group"]], row["from_version"], _target(row)) for row in rows]
    return _plan(journal, moves, asked, steps, against_of(rows[0]), evidence_of(rows[0])["scope"], begun=True)


def _new(context: Context, journal: Journal, moves: Mapping[str, Moves], asked: Mapping[str, Any]) -> RollbackPlan:
    together = not asked["groups"]
    if together and asked["version"] is None:
        scope = last_promotion(context.workload.name, moves)
    else:
        scope = _named(asked, moves)
    answering = units(context.workload, scope.groups)
    seen = {group: position(answering[group]) for group in scope.groups}
    targets = {group: _goes_to(context, moves[group], group, seen[group], asked, together) for group in scope.groups}
    if first := sorted(group for group, to in targets.items() if to is None):
        raise CannotRollBack(context.workload.name, _no_earlier(context.workload.name, first, moves))
    due = [_step(answering[group], seen[group], to, moves[group]) for group, to in targets.items() if to is not None]
    steps = [step for step in due if asked["version"] or not step.nothing]
    digest = hashlib.sha256(json.dumps([journal.count, sorted(seen.items())]).encode()).hexdigest()[:16]
    return _plan(journal, moves, asked, steps, digest, scope.text)


def _plan(
    journal: Journal,
    moves: Mapping[str, Moves],
    asked: Mapping[str, Any],
    steps: list[Step],
    against: str,
    scope: str,
    begun: bool = False,
) -> RollbackPlan:
    changed = [step for step in steps if step.target.version != step.from_version]
    changes = [_change(step, moves[str(step.unit.group)]) for step in changed]
    after = {group: own[-1]["to_version"] for group, own in moves.items()}
    after |= {str(step.unit.group): step.target.version for step in steps}
    groups = sum(version != NO_VERSION for version in after.values())
    return RollbackPlan(asked, steps, changes, groups, journal.count, against, begun, scope=scope)


def _named(asked: Mapping[str, Any], moves: Mapping[str, Moves]) -> Scope:
    """Return the scope of groups that are named, or of all for their present champions."""
    groups, version = asked["groups"] or list(moves), asked["version"]
    what = f"goes to version {version}" if version else "goes to the version before its present one"
    if version in (NO_VERSION, PRESENT):
        what = "is left without a champion" if version == NO_VERSION else "keeps its champion"
    none = sum(left_without(moves.get(group, [])) for group in groups) if version == PRESENT else 0
    rest = f" ({number(none, 'group')} without one stays so)" if none else ""
    which = f"group {groups[0]}" if len(groups) == 1 else f"each of {len(groups)} groups"
    return Scope(groups, f"{which} {what}{rest}")


def _no_earlier(workload: str, groups: list[str], moves: Mapping[str, Moves]) -> str:
    first = rollback_command(workload, groups[0], str(moves[groups[0]][-1]["to_version"]))
    return (
        f"there was no champion before the present one of {number(len(groups), 'group')}: {bounded(groups)}; leave "
        f"them out, or name one group and a version of its own; `{first}` uploads the present one's files again, where "
        f"MLflow has lost them"
    )


def last_promotion(workload: str, moves: Mapping[str, Moves]) -> Scope:
    """Return the groups whose models the last promotion changed, of those that have them still.

    Groups that had no champion before it have nothing to go back to: they stay, and are named.

    Raises:
        CannotRollBack: when there was no champion before any group's.
    """
    made = {group: row for group, own in moves.items() if (row := promotion_of(own, own[-1]["to_version"]))}
    changed = {group: row for group, row in made.items() if row["from_version"] is not None}
    if not changed:
        raise CannotRollBack(workload, "there was no champion before any group's; name a group and its version")
    partition = max(changed.values(), key=lambda row: row["at"])["partition"]
    groups = sorted(group for group, row in changed.items() if row["partition"] == partition)
    new = sorted(group for group, row in made.items() if row["partition"] == partition and group not in changed)
    back = "goes back" if len(groups) == 1 else "go back together"
    text = f"{number(len(groups), 'group')} that the promotion of {partition} changed {back}"
    return Scope(groups, text + (f"; {len(new)} that had no champion before it stay: {bounded(new)}" if new else ""))


def _goes_to(
    context: Context, moves: Moves, group: str, seen: str | None, asked: Mapping[str, Any], together: bool
) -> Row | None:
    """Return the latest move to what a group goes back to: the version asked for, or the one before its present one.

    The present one is where the alias is; `together` it is where the journal says, so that what was promoted together
    goes back together.
    """
    known, version = {row["to_version"] for row in moves} - {NO_VERSION}, asked["version"]
    if version in (NO_VERSION, PRESENT):
        return _leaving(moves) if version == NO_VERSION else moves[-1]
    if version is not None and version not in known:
        raise UnknownName(f"earlier champion of group '{group}': version", version, known)
    if version is not None:
        return last_row_of(moves, version)
    return champion_before(moves, moves[-1]["to_version"] if together else seen)


def _leaving(moves: Moves) -> Row:
    """Return the move by which a group has no champion: of no run, and no model."""
    nothing = dict.fromkeys(("run", "partition", "manifest_sha256"), "")
    return {**moves[-1], **nothing, "to_version": NO_VERSION, "evidence": "{}"}


def _step(unit: Unit, seen: str | None, to: Row, moves: Moves) -> Step:
    """Return a group's way back; from a version that it was moved to by hand, by which it is to be written down."""
    there = seen is None if to["to_version"] == NO_VERSION else same(last_row_of(moves, seen), to)
    if not there:
        return Step(unit, seen, seen, _target(to))
    leaves = moves[-1]["to_version"]
    if same(moves[-1], to):  # the number that it has now
        return Step(unit, seen, leaves, _target(moves[-1]))
    return Step(unit, seen, at_version(leaves), _target(to))


def _target(row: Row) -> Target:
    model = evidence_of(row)
    evidence = {name: model[name] for name in CARRIED if name in model}
    return Target(row["to_version"], row["manifest_sha256"], row["run"], row["partition"], evidence)


def _change(step: Step, moves: Moves) -> Change:
    before = _described(last_row_of(moves, step.from_version))
    kind: Literal["changes", "appears"] = "changes" if step.from_version else "appears"
    if step.target.version == NO_VERSION:
        return Change(str(step.unit.group), "disappears", before, None, NO_VERSION)
    after = _described(_row_of(step.target, moves))
    return Change(str(step.unit.group), kind, before, after, str(step.target.version))


def _row_of(target: Target, moves: Moves) -> Row:
    """Return the move to the champion of a target, with the number that its version has now."""
    return latest_of(moves, {"manifest_sha256": target.digest, "partition": target.partition})


def _described(row: Row | None) -> dict[str, Any] | None:
    """Return what a difference tells of a model: what the journal knows of it."""
    if row is None:
        return None
    model = evidence_of(row)
    described = {"origin_run": row["run"], "origin_partition": row["partition"]}
    return described | {name: model[name] for name in ("algorithm",) if name in model}


def _checked(context: Context, moves: Mapping[str, Moves], plan: RollbackPlan) -> list[Step]:
    """Verify every version to go back to: tags by the journal, features by the workload, bytes by the tag.

    A version that somebody deleted is registered again, where its files are still there; one whose files are not is
    uploaded again, where the store has its bytes. A group that is there already, and lacks nothing, is left out.
    """
    steps: list[Step] = []
    problems: dict[str | None, str] = {}
    with scratch() as folder:
        for step in plan.steps:
            try:
                sound = _sound(context, step, moves[str(step.unit.group)], folder)
                steps += [sound] if plan.begun or not sound.nothing else []
            except (*UNSOUND, _OtherFeatures) as error:
                problems[step.unit.group] = str(error)
    if problems:
        text = bounded(f"'{group}': {why}" for group, why in problems.items())
        raise CannotRollBack(
            context.workload.name, f"{number(len(problems), 'group')} without a sound version to go back to: {text}"
        )
    return steps


class _OtherFeatures(Exception):
    """Raised when a version could not be scored with."""


def _sound(context: Context, step: Step, moves: Moves, folder: Path) -> Step:
    version, target = str(step.target.version), step.target
    if version == NO_VERSION:
        return step
    model = of_move(step.unit, _row_of(target, moves), moves, context.store)
    if not model.fits(context.workload):
        raise _OtherFeatures(f"version {version} takes other keys, features or classes than the workload has now")
    lost = not is_whole(model, folder)
    if lost:
        stored_bytes(context.store, model, target.evidence)
    if model.deleted:
        target = replace(target, version=None, evidence={**target.evidence, RESTORED: version})
    return replace(step, target=replace(target, again=model, lost=lost))
