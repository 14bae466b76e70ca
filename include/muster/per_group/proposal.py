"""What a partition's verdicts would change, group by group; found out before anything is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.lineage import settled_by_human
from muster.errors import bounded
from muster.per_group.standing import Moves, moves_by_group
from muster.promotion.proposal import Base, NotJudged, Proposal, Verdicts, idle, partition_rows
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows

Row = dict[str, Any]


@dataclass(frozen=True)
class GroupVerdicts:
    """A partition's verdicts, and who of the winners still has to be promoted."""

    verdicts: Verdicts
    moves: Mapping[str, Moves]
    """Each group's own, from the journal."""
    due: Mapping[str, Row]
    """The decision of each winner to promote."""
    models: Mapping[str, Row]
    """The row of `models` of each of those."""
    stay: Mapping[str, str]
    """Why the other winners stay as they are."""
    nothing: str | None
    """Why nothing is promoted at all."""

    def proposal(self) -> Proposal:
        """Return what a human would approve: the share of all champions that get another model."""
        base = Base(frozenset(self.moves), pa.table({}))
        return Proposal(self.verdicts, [], None, nothing=self.nothing, base=base)


def propose(workload: Workload, store: Store, windows: PartitionWindows) -> Proposal:
    """Find out what a partition's verdicts would change; nothing is written.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
    """
    return group_verdicts(workload, store, windows).proposal()


def group_verdicts(workload: Workload, store: Store, windows: PartitionWindows) -> GroupVerdicts:
    """Return a partition's verdicts in the light of the journal.

    Raises:
        NotJudged: when the partition has no decisions, those of several runs, or winners without a model.
    """
    decisions = partition_rows(store, "decisions", windows.key)
    verdicts = _verdicts(workload, windows.key, decisions)
    won = {row["group"]: row for row in decisions.filter(pc.field("verdict") == "promote").to_pylist()}
    models = _models(workload, store, windows.key, verdicts.run, won)
    moves = moves_by_group(store)
    stay = {
        group: why
        for group in won
        if (why := _settled(windows.key, verdicts.run, models[group]["sha256"], moves.get(group, [])))
    }
    due = {group: row for group, row in won.items() if group not in stay}
    nothing = None
    if workload.gate.mode != "enabled":
        nothing = idle(workload, verdicts)
    elif not due:
        nothing = "every winner stays as it is" if won else "no group was promoted"
    return GroupVerdicts(verdicts, moves, due, models, stay, nothing)


def _verdicts(workload: Workload, partition: str, decisions: pa.Table) -> Verdicts:
    runs = sorted(set(decisions["run"].to_pylist()))
    if len(runs) != 1:
        why = "decisions hold several values of 'run'" if runs else "decisions hold no row of it"
        raise NotJudged(workload.name, partition, why)
    won = decisions.filter(pc.field("verdict") == "promote")
    winners = won.select(["group", "algorithm", "candidate_score"]).rename_columns(["group", "algorithm", "score"])
    return Verdicts(runs[0], None, dict(Counter(decisions["verdict"].to_pylist())), winners)


def _models(workload: Workload, store: Store, partition: str, run: str, won: Mapping[str, Row]) -> dict[str, Row]:
    rows = partition_rows(store, "models", partition).filter(pc.field("run") == run).to_pylist()
    stored = {(row["group"], row["algorithm"]): row for row in rows}
    missing = sorted(group for group, row in won.items() if (group, row["algorithm"]) not in stored)
    if missing:
        raise NotJudged(workload.name, partition, f"its run has no model of {bounded(missing)}")
    return {group: stored[group, row["algorithm"]] for group, row in won.items()}


def _settled(partition: str, run: str, sha256: str, moves: Sequence[Mapping[str, Any]]) -> str | None:
    if not moves:
        return None
    last = moves[-1]
    if any((move["run"], move["manifest_sha256"], move["cause"]) == (run, sha256, "gate") for move in moves):
        done = (last["run"], last["manifest_sha256"]) == (run, sha256)
        if done:
            return "promoted before"
        return settled_by_human(moves, run, partition, last["to_version"]) or "promoted before, and moved since"
    if last["partition"] > partition:
        return f"the champion is of a later partition, {last['partition']}"
    return settled_by_human(moves, run, partition, last["to_version"])
