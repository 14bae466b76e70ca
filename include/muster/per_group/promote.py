"""Promote group by group: executors register the winners and move their aliases; the journal has all moves at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from muster.champions.alias import MADE, UNDER_WAY, AliasMoved, Move, MoveUnderWay, is_unfinished, note_made, write_down
from muster.champions.journal import journal
from muster.champions.lineage import evidence_of, newest_ancestor
from muster.errors import MusterError, bounded
from muster.mlflow.client import connect
from muster.mlflow.runs import add_metrics
from muster.models.manifest import loads
from muster.per_group.access import Access
from muster.per_group.names import model_names
from muster.per_group.proposal import GroupVerdicts, group_verdicts
from muster.per_group.register import Winner
from muster.per_group.standing import by_group, moves_by_group
from muster.per_group.tasks import FLIPPED, REGISTERED, Flip, flip_some, register_some, spent
from muster.promotion.approval import Approval, approver
from muster.settings import settings
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows

Result = dict[str, Any]
Over = Callable[[int, Callable[[int], pa.Table], pa.Schema], pa.Table]
"""Run a function for each number below a first one, on the executors, and return all rows."""
Ends = tuple[dict[str, str], dict[str, str]]
"""Why groups stay as they are, and what went wrong with others."""
TASKS = 6
"""Tasks at most: a server's budget, not the number of executors, says how fast groups are registered."""


class NotRegistered(MusterError):
    """Raised when groups' models could not be registered, or their aliases not be moved; the others' were."""

    retryable = True

    def __init__(self, workload: str, problems: Mapping[str, str]) -> None:
        told = bounded(f"'{group}': {why}" for group, why in sorted(problems.items()))
        super().__init__(f"{workload}: {len(problems)} groups were not promoted: {told}; run promote again")


@dataclass(frozen=True)
class _Promotion:
    """What one call of promote works with."""

    workload: Workload
    store: Store
    partition: str
    who: str
    over: Over
    judged: GroupVerdicts
    access: Access
    costs: list[tuple[int, float]] = field(default_factory=list)
    """The MLflow calls and the seconds that executors took, a pair for each group and step."""

    @property
    def run(self) -> str:
        return self.judged.verdicts.run

    def spread(self, items: Sequence[Any], work: Callable[[Any], pa.Table], schema: pa.Schema) -> list[dict[str, Any]]:
        """Deal items, in the order of their moments, out to tasks; return all rows."""
        turn = {group: number for number, group in enumerate(self.access.in_turn([item.group for item in items]))}
        ordered = sorted(items, key=lambda item: turn[item.group])
        tasks = min(TASKS, len(ordered))
        dealt = [ordered[number::tasks] for number in range(tasks)]
        rows: list[dict[str, Any]] = self.over(tasks, lambda number: work(dealt[number]), schema).to_pylist()
        self.costs.extend((row["calls"], row["seconds"]) for row in rows)
        spent(rows)
        return rows


def promote(
    workload: Workload, store: Store, windows: PartitionWindows, who: str, approval: Approval | None, over: Over
) -> Result:
    """Carry out a partition's verdicts group by group; what a human or a later partition settled stays as it is.

    First every winner is registered, then all moves are journalled in one commit, then the aliases are moved. Running
    it again after it ended, or was broken off anywhere, ends in the same state: a version is found by its model's
    digest, a journalled move that was not made is made, one that was made is not repeated.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        NeedsApproval: when more of the champions would change than `gate.max_changed`, and no `approval` of exactly
            these verdicts is given.
        BudgetSpent: when MLflow takes no more calls for now.
        MoveUnderWay: when another promotion is being made.
        AliasMoved: when no winner's alias is at the version that was judged.
        NotRegistered: when MLflow failed for some; the others are promoted.
    """
    judged = group_verdicts(workload, store, windows)
    access = Access.of_driver(settings(), len(judged.models))
    this = _Promotion(workload, store, windows.key, who, over, judged, access)
    stay, problems = _resume(this)
    moves: list[Move] = []
    if judged.nothing is None:
        approved_by = approver(workload, windows, judged.proposal(), approval)
        moves, elsewhere, failed = _registered(this, approved_by)
        left, unmoved = _carried_out(this, moves)
        stay, problems = stay | elsewhere | left, problems | failed | unmoved
    if problems:
        raise NotRegistered(workload.name, problems)
    return _told(this, moves, {**judged.stay, **stay})


def _resume(this: _Promotion) -> Ends:
    """Make the last moves of the journal that were begun for this run and are not known to be made.

    Only each group's last: what a rollback took back since stays taken back.
    """
    table, moves = this.store.open("alias_journal"), journal(this.store)
    if table is None or not is_unfinished(table, len(moves)):
        return {}, {}
    last = by_group(moves[table.transaction_version(MADE) or 0 :]).values()
    begun = [own[-1] for own in last if own[-1]["run"] == this.run]
    return _flipped(this, [_flip(move, evidence_of(move)) for move in begun])


def _registered(this: _Promotion, approved_by: str | None) -> tuple[list[Move], dict[str, str], dict[str, str]]:
    """Register the winners on the executors; return the moves to make, why groups stay, and the problems.

    Raises:
        AliasMoved: when none is left to move because of where the aliases are.
    """
    workload, root, access = this.workload, Path(this.store.root), this.access
    winners = _winners(this)
    rows = this.spread(winners, lambda some: register_some(workload, root, access, some), REGISTERED)
    problems = {row["group"]: row["problem"] for row in rows if row["problem"]}
    made = {row["group"]: row for row in rows if not row["problem"]}
    _nothing_under_way(this, made)
    elsewhere, moves = {}, []
    for winner in winners:
        row = made.get(winner.group)
        if row is None or row["found"] == row["version"]:
            continue
        if _as_judged(this, winner.group, row["found"]):
            moves.append(_move(this, winner, row, approved_by))
        else:
            at, due = row["found"] or "none", this.judged.due[winner.group]["champion_version"] or "none"
            elsewhere[winner.group] = f"the alias is at version {at}, but {due} was judged"
    if elsewhere and not moves and not problems:
        name = next(winner.name for winner in winners if winner.group in elsewhere)
        group = next(iter(elsewhere))
        raise AliasMoved(name, this.judged.due[group]["champion_version"], made[group]["found"])
    return moves, elsewhere, problems


def _winners(this: _Promotion) -> list[Winner]:
    judged = this.judged
    names = model_names(this.workload.name, judged.due)
    runs = sorted({judged.models[group]["mlflow_run_id"] for group in judged.due})
    places = {run_id: str(connect().get_run(run_id).info.artifact_uri) for run_id in runs}
    return [
        Winner(group, names[group], model, places[model["mlflow_run_id"]])
        for group, model in judged.models.items()
        if group in judged.due
    ]


def _nothing_under_way(this: _Promotion, made: Mapping[str, Mapping[str, Any]]) -> None:
    table, moves = this.store.open("alias_journal"), journal(this.store)
    if table is None or not is_unfinished(table, len(moves)):
        return
    last = {move["group"]: move for move in moves}
    for group, row in made.items():
        move = last.get(group)
        if move and move["to_version"] != row["found"] and datetime.now(UTC) - move["at"] < UNDER_WAY:
            raise MoveUnderWay(this.workload.name, move)


def _as_judged(this: _Promotion, group: str, found: str | None) -> bool:
    """Tell whether the champion is the one judged against, or came of this very partition, trained anew since."""
    due, moves = this.judged.due[group]["champion_version"], this.judged.moves.get(group, [])
    if found == due:
        return True
    last = moves[-1] if moves else {}
    if (last.get("partition"), last.get("cause"), last.get("to_version")) != (this.partition, "gate", found):
        return False
    return bool(newest_ancestor(moves, found, lambda key: key < this.partition) == due)


def _move(this: _Promotion, winner: Winner, row: Mapping[str, Any], approved_by: str | None) -> Move:
    decision, model = this.judged.due[winner.group], winner.stored
    evidence = {name: model[name] for name in ("rows", "positives", "parent", "algorithm", "mlflow_run_id")}
    evidence |= {"score": decision["candidate_score"], "judged_against": decision["champion_version"]}
    evidence |= {"model": winner.name, "loads": loads(this.workload), "verdicts": this.judged.verdicts.digest}
    return Move(
        from_version=row["found"],
        to_version=row["version"],
        cause="gate",
        who=this.who,
        run=this.run,
        partition=this.partition,
        manifest_sha256=model["sha256"],
        evidence=evidence | ({"approved_by": approved_by} if approved_by else {}),
        group=winner.group,
    )


def _carried_out(this: _Promotion, moves: Sequence[Move]) -> Ends:
    """Journal the moves and make them; return why groups stay where they are, and the problems."""
    if not moves:
        return {}, {}
    table = DeltaTable.create(this.store.table("alias_journal"), ALIAS_JOURNAL, mode="ignore")
    write_down(this.workload, table, moves, journal(this.store))
    return _flipped(this, [_flip(vars(move), move.evidence) for move in moves])


def _flip(move: Mapping[str, Any], evidence: Mapping[str, Any]) -> Flip:
    return Flip(move["group"], evidence["model"], move["from_version"], move["to_version"])


def _flipped(this: _Promotion, flips: Sequence[Flip]) -> Ends:
    if not flips:
        return {}, {}
    access = this.access
    rows = this.spread(flips, lambda some: flip_some(access, some), FLIPPED)
    problems = {row["group"]: row["problem"] for row in rows if row["problem"]}
    table = this.store.open("alias_journal")
    if table is not None and not problems:
        note_made(table, len(journal(this.store)))
    return {row["group"]: row["stay"] for row in rows if row["stay"]}, problems


def _told(this: _Promotion, moves: Sequence[Move], stay: Mapping[str, str]) -> Result:
    champions = len(moves_by_group(this.store))
    counts = {"promoted": len(moves), "kept": champions - len(moves), "groups": champions}
    run_ids = sorted({move.evidence["mlflow_run_id"] for move in moves})
    for run_id in run_ids:
        add_metrics(run_id, {f"pack_{name}": count for name, count in counts.items()})
    nowhere = dict.fromkeys(("from_version", "to_version", "manifest_sha256"))
    shown = dict(sorted(stay.items())[:10])
    told = {"moved": bool(moves), "reason": this.judged.nothing, **nowhere, **counts}
    told |= {"stay": len(stay), "stay_why": shown}
    calls, seconds = (sum(values) for values in zip(*this.costs, strict=True)) if this.costs else (0, 0.0)
    told |= {"executors_mlflow_calls": calls, "executors_seconds": round(seconds, 3)}
    return told | {"mlflow_run_id": run_ids[0] if run_ids else None}
