"""Roll champions back: planned and shown first, then journalled in one commit, then moved alias by alias."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from typing import Any

from muster.champions.alias import AliasMove, at_version, check_none_under_way, move_alias, position
from muster.champions.artifacts import Artifact, register
from muster.champions.errors import NO_VERSION, PRESENT, AliasMoved, ConcurrentMove
from muster.champions.journal import Journal, JournalMovedOn, Move
from muster.champions.lineage import RESTORED
from muster.champions.pack_artifact import PackArtifact
from muster.champions.restored import RestoredModel
from muster.champions.units import is_pack
from muster.champions.versions import PARTITION, RUN
from muster.context import Context
from muster.errors import WrongArgument
from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.mlflow.runs import open_runs, run_is_there
from muster.models.build import BuiltPack, write_pack
from muster.printable import number
from muster.promotion.rollback_groups import plan_groups
from muster.promotion.rollback_pack import plan_pack
from muster.promotion.rollback_plan import RollbackPlan, Step, Target
from muster.promotion.same_rows import with_scores
from muster.promotion.write_anew import write_anew

NOT_JOURNALLED = ("shown", "nothing_to_do", "against", "uploaded")
"""What the journal does not repeat of a difference."""
NAMED = 10
"""Changed groups of a pack that the journal names."""


class MissingActorOrReason(WrongArgument):
    """Raised when a rollback does not say who makes it, or why."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a rollback says who makes it and why; '{what}' is empty")


@muster_errors()
def plan_rollback(
    context: Context, version: str | None = None, groups: Collection[str] = (), against: str | None = None
) -> RollbackPlan:
    """Find out what a rollback would do, and whether it can; change nothing.

    A pack goes back whole, to `version` or to the champion of before the last promotion; with `groups`, those alone
    get the models of `version`, or each the one it had before its present model was promoted. Where each group is a
    registered model, each of `groups` goes back to the version before its present one, or a single one to `version`;
    without `groups` all do that the last promotion changed. `against` is what an earlier comparison has seen. The same
    rollback asked for again, after it was broken off, is known again.

    Raises:
        CannotRollBack: when there is nothing to go back to, or it cannot be scored with.
        UnknownName, NoSuchGroups, WrongArgument: when what is asked for is not there.
        AliasMoved: when the champion is not `against`.
    """
    asked = {"version": version, "groups": sorted(set(groups))}
    plan = plan_pack if is_pack(context.workload) else plan_groups
    planned = plan(context, Journal(context.store), asked, against)
    return replace(planned, changes=with_scores(context.store, planned.changes))


@muster_errors()
def roll_back(context: Context, plan: RollbackPlan, who: str, why: str) -> dict[str, Any]:
    """Move the aliases as planned, journalled with who and why; the same plan again ends in the same state.

    Raises:
        MissingActorOrReason: when `who` or `why` is empty.
        AliasMoved: when an alias is not where the plan has seen it, or the journal has another move.
        MoveUnderWay: when another move of one of the units is being made.
        ConcurrentMove: when somebody else moved some groups' aliases in the very moment.
        BadSource: when a model to be copied is missing or corrupt.
    """
    for name, text in (("who", who), ("why", why)):
        if not text.strip():
            raise MissingActorOrReason(name)
    result = {name: value for name, value in plan.difference.items() if name not in ("shown", "asked")}
    result |= {"who": who, "why": why}
    if plan.nothing:
        same = {"to_version": result["from_version"], "manifest_sha256": None}
        return {**result, **same, "moved": False, "reason": "nothing to do: all is as asked already"}
    journal = Journal(context.store)
    steps = plan.steps
    if not plan.begun:
        _check_as_seen(context, journal, plan)
        steps = [_registered(context, plan, step) for step in steps]
        write_anew(context, journal, steps)
        _append(context, journal, [_move(context, plan, step, who.strip(), why.strip()) for step in steps], plan)
    for step in plan.steps:
        if step.target.lost and step.target.version is not None:  # else it was uploaded to be registered
            _upload_again(context, plan, step)
    moves = [AliasMove(step.unit, step.from_version, str(step.target.version)) for step in steps]
    left = {move.unit.group: reason for move in moves if (reason := move_alias(move))}
    journal.note_made([step.unit for step in steps])
    if left:
        _raise_left(context, moves, left)
    to = steps[0].target if len(steps) == 1 else None
    now = {"to_version": at_version(str(to.version)) if to else None, "manifest_sha256": to.digest if to else None}
    return {**result, **now, "moved": True, "reason": None, "now": _in_words(context, plan, steps)}


def _check_as_seen(context: Context, journal: Journal, plan: RollbackPlan) -> None:
    positions = {step.unit: position(step.unit) for step in plan.steps}
    check_none_under_way(journal, positions)
    name = context.workload.name
    for step in plan.steps:
        if (at := positions[step.unit]) != step.seen:
            raise AliasMoved.since_compared(name, step.unit.name, step.from_version, at)
    if journal.count != plan.number:
        step = plan.steps[0]
        why = "alias_journal has moves that were not there before"
        raise AliasMoved.since_compared(name, step.unit.name, step.from_version, positions[step.unit], why)


def _registered(context: Context, plan: RollbackPlan, step: Step) -> Step:
    """Return the step with its target registered: long ago, or now where it is a new pack or was deleted since."""
    target = step.target
    if target.version is not None:
        return step
    artifact: Artifact = _new_pack(context, plan, step) if step.unit.group is None else _again(context, step)
    version = register(artifact)
    return replace(step, target=replace(target, version=version.version, digest=version.digest))


def _upload_again(context: Context, plan: RollbackPlan, step: Step) -> None:
    """Upload the files of a version that is registered still, journalled before: broken off, it is begun again."""
    if step.unit.group is None:
        _new_pack(context, plan, step).upload_again(connect(), str(step.target.version))
    else:
        _again(context, step).upload(connect())


def _new_pack(context: Context, plan: RollbackPlan, step: Step) -> PackArtifact:
    target, workload = step.target, context.workload
    pack = _pack(context, target)
    tags = {
        PARTITION: target.partition,
        RUN: target.run,
        "muster.groups": str(pack.groups),
        "muster.rolled_back_from": step.from_version or NO_VERSION,
        "muster.rolled_back": str(len(plan.changes)),
    }
    run_id = target.evidence["mlflow_run_id"]
    if not run_is_there(run_id):
        run_id = open_runs(workload, target.run, [RESTORED])[RESTORED]
    return PackArtifact(step.unit, workload, context.store, pack, run_id, tags)


def _pack(context: Context, target: Target) -> BuiltPack:
    """Return the pack that is registered or uploaded again, as the store has it; or write a new one."""
    assert target.manifest is not None  # noqa: S101 - for the type: such a pack is planned by its rows
    if target.again is not None:
        return BuiltPack(target.again.place, target.digest, target.manifest.num_rows)
    partition = date.fromisoformat(target.partition)
    return write_pack(
        context.workload, context.store, partition, target.run, target.manifest, target.imports, target.base
    )


def _again(context: Context, step: Step) -> RestoredModel:
    target = step.target
    assert target.again is not None  # noqa: S101 - for the type: so it is planned
    return RestoredModel(context.workload, context.store, target.again, target.evidence, target.lost)


def _move(context: Context, plan: RollbackPlan, step: Step, who: str, why: str) -> Move:
    known = {name: value for name, value in plan.difference.items() if name not in NOT_JOURNALLED} | {"why": why}
    if step.unit.group is None:
        known |= {"to_version": step.target.version, "named": [change.group for change in plan.changes[:NAMED]]}
        known |= step.target.evidence
    else:
        del known["from_version"], known["to_version"]
        known |= {"against": plan.against, **step.target.evidence, "model": step.unit.name}
    target = step.target
    to_version, digest = str(target.version), target.digest
    return Move(step.unit, step.from_version, to_version, "rollback", who, target.run, target.partition, digest, known)


def _append(context: Context, journal: Journal, moves: list[Move], plan: RollbackPlan) -> None:
    try:
        journal.append(moves)
    except JournalMovedOn as moved_on:
        unit, seen, last = moves[0].unit, plan.steps[0].from_version, moved_on.last["to_version"]
        why = "another move came first"
        raise AliasMoved.since_compared(context.workload.name, unit.name, seen, last, why) from moved_on


def _raise_left(context: Context, moves: list[AliasMove], left: dict[str | None, str]) -> None:
    if None not in left:
        raise ConcurrentMove(context.workload.name, left)
    unit, seen = moves[0].unit, moves[0].from_version
    raise AliasMoved.since_compared(context.workload.name, unit.name, seen, position(unit), left[None])


def _in_words(context: Context, plan: RollbackPlan, steps: Collection[Step]) -> str:
    name, one = context.workload.name, next(iter(steps))
    if one.unit.group is None:
        again = ", its files in MLflow again" if one.target.lost else ""
        return f"Champion of {name} is version {one.target.version}{again}"
    what = "earlier champions" if plan.changes else "all files of the champion in MLflow again"
    if plan.asked["version"] == PRESENT and plan.changes:
        what = "their present champions in MLflow again"
    if one.target.version == NO_VERSION:
        what = "no champion"
    return f"{number(len(steps), 'group')} of {name} {'has' if len(steps) == 1 else 'have'} {what}"
