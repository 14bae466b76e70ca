"""Roll groups' own champions back: looked at first, then journalled in one commit, then moved alias by alias."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable

from muster.champions.alias import MADE, UNDER_WAY, Move, MoveUnderWay, note_made, write_down
from muster.champions.journal import journal
from muster.champions.journal import moves as moves_of
from muster.champions.lineage import Moves, evidence_of
from muster.errors import MusterError, WrongArgument, bounded
from muster.per_group.champions import at_alias
from muster.per_group.names import model_names
from muster.per_group.rollback_targets import Scope, Step, begun_step, check, last_promotion, look, steps, told_of
from muster.per_group.scratch import scratch
from muster.per_group.standing import by_group
from muster.per_group.tasks import Flip, flip_one
from muster.promotion.difference import Change, counted
from muster.promotion.rollback import UNTOLD, MissingActorOrReason
from muster.promotion.rollback_sources import CannotRollBack, NoSuchGroups
from muster.storage.store import Store
from muster.workload.spec import Workload

Result = dict[str, Any]
CARRIED = ("rows", "positives", "parent", "algorithm", "mlflow_run_id", "score", "loads")
"""What the journal says of a model, told again by the move back to it."""


class MovedSince(MusterError):
    """Raised when aliases are not where they were when the rollback was looked at."""

    def __init__(self, workload: str, why: str) -> None:
        super().__init__(f"{why}; nothing was moved: look again with './muster rollback {workload} --dry-run'")


class ConcurrentMove(MusterError):
    """Raised when some aliases were moved by others just when they were to be; the other groups are back."""

    def __init__(self, workload: str, stay: Mapping[str, str]) -> None:
        told = bounded(f"'{group}': {why}" for group, why in stay.items())
        again = f"look again with './muster rollback {workload} --dry-run', these groups named"
        super().__init__(f"{workload}: {len(stay)} groups were not rolled back, the others were: {told}; {again}")


@dataclass(frozen=True)
class Plan:
    """A rollback that was looked at: carried out against what was seen only, or not at all."""

    asked: Mapping[str, Any]
    scope: str
    steps: Sequence[Step]
    champions: int
    """Groups that have one."""
    number: int
    """Moves of the journal when it was looked at."""
    against: str
    """A digest of what was seen."""
    begun: bool
    """Whether the journal has it already: it is finished then, not made again."""

    @property
    def nothing(self) -> bool:
        """Whether all is as asked already."""
        return not self.steps

    @property
    def changes(self) -> list[Change]:
        """Each group's model before and after, as the journal knows them."""
        return [
            Change(
                step.group,
                "changes" if step.from_version else "appears",
                told_of(step.left),
                told_of(step.target),
                step.to_version,
            )
            for step in self.steps
        ]

    @property
    def difference(self) -> Result:
        """What the rollback changes: counts of all groups, and the first of them by name.

        The versions are told where there is one group; several have one each.
        """
        one = self.steps[0] if len(self.steps) == 1 else None
        return {
            "from_version": one.from_version if one else None,
            "to_version": one.to_version if one else None,
            "against": self.against,
            "scope": self.scope,
            "asked": dict(self.asked),
            "partition": max((step.target["partition"] for step in self.steps), default=None),
            "nothing_to_do": self.nothing,
            "groups": self.champions,
            **counted(self.changes),
            "fallback": None,
            "problem": None,
        }


def plan(
    workload: Workload,
    store: Store,
    version: str | None = None,
    groups: Collection[str] = (),
    against: str | None = None,
) -> Plan:
    """Find out what a rollback would do, and whether it can; change nothing. Four calls a group.

    Each of `groups` goes back to the version that stood before its present one, or a single one to `version`. Without
    `groups`, all go back that the last promotion changed. `against` is the digest of what an earlier look has seen. The
    same rollback asked again, after it was broken off, is found again.

    Raises:
        CannotRollBack: when there is nothing to go back to, or it cannot be scored with.
        WrongArgument: when `version` is given with no group or several.
        NoSuchGroups: when a group never had a champion.
        UnknownName: when `version` was never the group's champion.
        MovedSince: when anything was moved since `against` was told.
    """
    named = sorted(set(groups))
    asked: Result = {"version": version, "groups": named}
    if version is not None and len(named) != 1:
        why = f"each group has versions of its own, so version '{version}' goes with exactly one group"
        raise WrongArgument(f"{workload.name}: {why}, not {len(named)}; name that one")
    written = journal(store)
    moves = by_group(written)
    if not moves:
        raise CannotRollBack(workload.name, "there is no champion yet")
    if unknown := set(groups) - moves.keys():
        raise NoSuchGroups(unknown, "alias_journal")
    names = model_names(workload.name, moves)
    found = _begun(store, written, names, asked, against) or _new(workload, written, names, asked)
    if against not in (None, found.against):
        raise MovedSince(workload.name, f"champions of {workload.name} were moved since they were looked at")
    with scratch() as folder:
        check(workload, moves, found.steps, folder)
    return found


def _new(workload: Workload, written: Moves, names: Mapping[str, str], asked: Result) -> Plan:
    moves = by_group(written)
    together = not asked["groups"]
    scope = last_promotion(workload, moves) if together else _named(asked)
    seen = look(names, scope.groups)
    ways = steps(workload, moves, names, seen, asked["version"], together)
    digest = hashlib.sha256(json.dumps([len(written), sorted(seen.items())]).encode()).hexdigest()[:16]
    return Plan(asked, scope.told, ways, len(moves), len(written), digest, begun=False)


def _named(asked: Result) -> Scope:
    groups = asked["groups"]
    back = f"to version {asked['version']}" if asked["version"] else "to the version that stood before its present one"
    return Scope(groups, f"{f'group {groups[0]}' if len(groups) == 1 else f'each of {len(groups)} groups'} goes {back}")


def _begun(store: Store, written: Moves, names: Mapping[str, str], asked: Result, against: str | None) -> Plan | None:
    """Return the very rollback that is asked for, where the journal has it as its last: begun, or just made."""
    known = evidence_of(written[-1])
    same = written[-1]["group"] is not None and written[-1]["cause"] == "rollback" and known["asked"] == asked
    if not same or against not in (None, known["against"]):
        return None
    tail = [row for row in written if evidence_of(row).get("against") == known["against"]]
    unmade = len(_unmade(DeltaTable(store.table("alias_journal")), written)) > 0
    seen = look(names, [row["group"] for row in tail])
    ends = {row["group"]: {row["to_version"], *([row["from_version"]] if unmade else [])} for row in tail}
    if not (unmade or against) or any(at not in ends[group] for group, at in seen.items()):
        return None
    moves = by_group(written)
    ways = [begun_step(row, moves[group], names[group], seen[group]) for row in tail if (group := row["group"])]
    return Plan(asked, known["scope"], ways, len(moves), len(written), known["against"], begun=True)


def _unmade(table: DeltaTable, written: Moves) -> Moves:
    """Return the last moves of the journal that are not noted as made."""
    return written[table.transaction_version(MADE) or 0 :]


def carry_out(workload: Workload, store: Store, plan: Plan, who: str, why: str) -> Result:
    """Move the aliases as planned, journalled with who and why; the same plan again ends in the same state.

    First all moves are journalled in one commit, then the aliases are moved: four calls a group at most.

    Raises:
        MissingActorOrReason: when `who` or `why` is empty.
        MovedSince: when an alias is not where the plan has seen it, or the journal has another move.
        MoveUnderWay: when a promotion of one of the groups is being made.
        ConcurrentMove: when somebody else moved an alias in the very moment.
    """
    for name, text in (("who", who), ("why", why)):
        if not text.strip():
            raise MissingActorOrReason(name)
    told = {**plan.difference, "who": who, "why": why, "manifest_sha256": None}
    told = {name: value for name, value in told.items() if name not in ("shown", "asked")}
    if plan.nothing:
        return {**told, "moved": False, "reason": "nothing to do: all is as asked already"}
    table = DeltaTable(store.table("alias_journal"))
    if not plan.begun:
        _as_seen(workload, table, plan)
        known = {k: v for k, v in plan.difference.items() if k not in (*UNTOLD, "from_version", "to_version")}
        known |= {"why": why.strip(), "against": plan.against}
        moves = [_move(step, who.strip(), known) for step in plan.steps]
        write_down(workload, table, moves, moves_of(table))
    stay = {step.group: left for step in plan.steps if (left := flip_one(_flip(step)))}
    _note(table, plan)
    if stay:
        raise ConcurrentMove(workload.name, stay)
    now = f"{len(plan.steps)} groups of {workload.name} have earlier champions"
    return {**told, "moved": True, "reason": None, "told": now}


def _as_seen(workload: Workload, table: DeltaTable, plan: Plan) -> None:
    written = moves_of(table)
    if len(written) != plan.number:
        raise MovedSince(workload.name, f"alias_journal of {workload.name} has moves that were not there before")
    unmade = {row["group"]: row for row in _unmade(table, written)}
    for step in plan.steps:
        last = unmade.get(step.group)
        if last and last["to_version"] != step.seen and datetime.now(UTC) - last["at"] < UNDER_WAY:
            raise MoveUnderWay(step.name, last)
    for step in plan.steps:
        if (at := at_alias(step.name)) != step.seen:
            why = f"the alias of '{step.group}' is at version {at or 'none'}, not {step.seen or 'none'}"
            raise MovedSince(workload.name, why)


def _move(step: Step, who: str, known: Result) -> Move:
    of_model = evidence_of(step.target)
    evidence = known | {name: of_model[name] for name in CARRIED if name in of_model} | {"model": step.name}
    return Move(
        from_version=step.from_version,
        to_version=step.to_version,
        cause="rollback",
        who=who,
        run=step.target["run"],
        partition=step.target["partition"],
        manifest_sha256=step.target["manifest_sha256"],
        evidence=evidence,
        group=step.group,
    )


def _flip(step: Step) -> Flip:
    return Flip(step.group, step.name, step.from_version, step.to_version)


def _note(table: DeltaTable, plan: Plan) -> None:
    """Note the moves as made, unless a promotion was broken off for other groups: it has to be found unfinished."""
    table.update_incremental()
    written = moves_of(table)
    mine = {step.group for step in plan.steps}
    if all(row["group"] in mine for row in _unmade(table, written)):
        note_made(table, len(written))
