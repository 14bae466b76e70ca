"""Roll the champion back, whole or chosen groups to the models they had: looked at first, then carried out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions import registry
from muster.champions.alias import AliasMoved, Move, journal, move_alias, unfinished
from muster.champions.lineage import Moves, evidence_of
from muster.champions.registry import Champion
from muster.errors import WrongArgument, bounded
from muster.mlflow.client import connect
from muster.models.build import incumbents, write_pack
from muster.models.manifest import about, loads_of
from muster.models.reader import CorruptManifest
from muster.promotion.difference import Change, changes, counted
from muster.promotion.rollback_sources import CannotRollBack, Standing, group_sources, opened, standing, whole_target
from muster.storage.store import Store
from muster.workload.spec import Workload

Result = dict[str, Any]
UNTOLD = ("shown", "nothing_to_do", "against")
"""What the journal does not repeat of a difference."""


class MissingActorOrReason(WrongArgument):
    """Raised when a rollback does not say who makes it, or why."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a rollback says who makes it and why; '{what}' is empty")


@dataclass(frozen=True)
class Plan:
    """A rollback that was looked at: carried out against `champion` only, or not at all."""

    champion: str
    seen: str
    """Where the alias stood: another version than the champion's only where a move is finished or written down."""
    asked: Mapping[str, Any]
    target: Champion | None
    """The version to go back to; None where chosen groups make a new pack."""
    manifest: pa.Table
    """The pack to come, its shards as paths below the store's root."""
    run: str
    partition: str
    changes: list[Change]
    fallback: str
    """What answers for groups that disappear."""
    loads: list[str]
    """What the pack's models may name."""
    problem: str | None
    """Why the champion's own pack was not read: every group of the target counts as changed then."""

    @property
    def nothing(self) -> bool:
        """Whether all is as asked already."""
        return self.target.version == self.champion if self.target else not self.changes

    @property
    def difference(self) -> Result:
        """What the rollback changes: counts of all groups, and the first of them by name."""
        return {
            "from_version": self.champion,
            "to_version": self.target.version if self.target else None,
            "against": self.champion,
            "asked": dict(self.asked),
            "partition": self.partition,
            "nothing_to_do": self.nothing,
            "groups": self.manifest.num_rows,
            **counted(self.changes),
            "fallback": self.fallback,
            "problem": self.problem,
        }


def plan(
    workload: Workload,
    store: Store,
    version: str | None = None,
    groups: Collection[str] = (),
    against: str | None = None,
) -> Plan:
    """Find out what a rollback would do, and whether it can; change nothing.

    The whole pack goes back to `version`, or to the champion of before the last promotion. With `groups`, those alone
    get the models of `version`, or each the one it had before its present model was promoted. `against` is the
    champion that an earlier look was at. The same rollback asked again, after it was broken off, is found again.

    Raises:
        CannotRollBack: when there is nothing to go back to, or it cannot be scored with.
        UnknownName: when `version` was never champion, or a group is in neither pack.
        AliasMoved: when the champion is not `against`.
    """
    moves, seen = journal(store), registry.standing(workload)
    if seen is None:
        raise CannotRollBack(workload.name, "there is no champion yet")
    asked = {"version": version, "groups": sorted(set(groups))}
    leaves = _made_against(store, moves, seen, asked, against)
    if against not in (None, leaves):
        raise AliasMoved(workload.name, against, seen, gate=False)
    plan_it = _plan_groups if groups else _plan_whole
    return plan_it(workload, store, moves, standing(workload, store, leaves), seen, asked)


def _made_against(store: Store, moves: Moves, seen: str, asked: Result, against: str | None) -> str:
    """Return the version to roll back from: as seen, unless this very rollback was begun or made by hand."""
    if not moves:
        return seen
    last = moves[-1]
    same = last["cause"] == "rollback" and evidence_of(last).get("asked") == asked
    begun = against == last["from_version"] or (against is None and unfinished(store))
    if same and begun and seen in (last["from_version"], last["to_version"]):
        return str(last["from_version"])
    if asked == {"version": seen, "groups": []} and last["to_version"] != seen:
        return str(last["to_version"])  # moved by hand: to be written down
    return seen


def _plan_whole(workload: Workload, store: Store, moves: Moves, leaves: Standing, seen: str, asked: Result) -> Plan:
    target = whole_target(workload, store, moves, leaves.version, asked["version"])
    before, problem = None, leaves.problem
    try:
        if leaves.pack is not None:
            before = incumbents(store, leaves.pack.folder, leaves.pack.manifest_sha256)
    except CorruptManifest as error:  # then all the more reason to leave it
        problem = str(error)
    after = opened(workload, store, target, models=target.version != leaves.version)
    found = changes(before, after, lambda group: target.version)
    said = about(after)
    run, fallback = said["run"], said["fallback"]
    return Plan(leaves.version, seen, asked, target, after, run, target.partition, found, fallback, [], problem)


def _plan_groups(workload: Workload, store: Store, moves: Moves, leaves: Standing, seen: str, asked: Result) -> Plan:
    if (champion := leaves.pack) is None:
        why = f"the other groups' models would stay, and {leaves.problem}; roll back without groups first"
        raise CannotRollBack(workload.name, why)
    before = opened(workload, store, champion)
    sources = group_sources(workload, store, moves, champion, before, asked)
    chosen = pa.array(list(sources.of), pa.string())
    kept = before.filter(pc.invert(pc.is_in(before["group"], value_set=chosen)))
    plain = [table.replace_schema_metadata(None).select(before.column_names) for table in (kept, *sources.rows)]
    after = pa.concat_tables(plain)
    found = changes(before, after, sources.of.__getitem__)
    said = about(before)
    gone = [change.group for change in found if change.change == "disappears"]
    fallback = said["fallback"]
    if not after.num_rows or (gone and fallback == "error"):
        why = f"'{fallback}' answers for groups without a model, and {len(gone)} would have none: {bounded(gone)}"
        raise CannotRollBack(workload.name, why)
    names = loads_of(before, *sources.rows)
    newest = max(champion.partition, *after["origin_partition"].to_pylist())
    return Plan(leaves.version, seen, asked, None, after, said["run"], newest, found, fallback, names, None)


def carry_out(workload: Workload, store: Store, plan: Plan, who: str, why: str) -> Result:
    """Move the alias as planned, journalled with who and why; the same plan again ends in the same state.

    Raises:
        MissingActorOrReason: when `who` or `why` is empty.
        AliasMoved: when the champion is not the one that the plan was made against.
        BadSource: when a model to be copied is missing or corrupt.
    """
    for name, text in (("who", who), ("why", why)):
        if not text.strip():
            raise MissingActorOrReason(name)
    counts = {name: value for name, value in plan.difference.items() if name in ("changes", "appears", "disappears")}
    told = {"from_version": plan.champion, **counts, "groups": plan.manifest.num_rows, "who": who, "why": why}
    if plan.nothing:
        same = {"to_version": plan.champion}
        return {"moved": False, "reason": "nothing to do: all is as asked already", **told, **same}
    now = registry.standing(workload)
    if now != plan.seen:
        raise AliasMoved(workload.name, plan.champion, now, gate=False)
    version, digest = _registered(workload, store, plan)
    evidence = {**{k: v for k, v in plan.difference.items() if k not in UNTOLD}, "why": why.strip()}
    evidence["named"] = [change.group for change in plan.changes[:10]]
    run, from_version = plan.run, plan.champion
    move = Move(from_version, version, "rollback", who.strip(), run, plan.partition, digest, evidence)
    move_alias(workload, store, move)
    return {"moved": True, "reason": None, **told, "to_version": version, "manifest_sha256": digest}


def _registered(workload: Workload, store: Store, plan: Plan) -> tuple[str, str]:
    """Return version and digest of the pack to go back to: registered long ago, or made of today's and older models."""
    if plan.target is not None:
        return plan.target.version, plan.target.manifest_sha256
    pack = write_pack(workload, store, date.fromisoformat(plan.partition), plan.run, plan.manifest, plan.loads)
    champion = connect().get_model_version(workload.name, plan.champion)
    tags = {
        registry.PARTITION: plan.partition,
        "muster.run": plan.run,
        "muster.groups": str(pack.groups),
        "muster.rolled_back_from": plan.champion,
        "muster.rolled_back": str(len(plan.changes)),
    }
    return registry.register(workload, store, pack, str(champion.run_id), tags), pack.sha256
