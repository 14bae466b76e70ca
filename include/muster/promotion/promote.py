"""Promote: the winners of a partition's gate and the champion's other models become the next champion."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions import registry
from muster.champions.alias import Move, move_alias, unfinished
from muster.champions.lineage import evidence_of, moved_by_human
from muster.champions.registry import Champion
from muster.mlflow.runs import add_metrics
from muster.models.build import BuiltPack, build_pack
from muster.promotion.approval import Approval, approver
from muster.promotion.proposal import Proposal, Verdicts, partition_rows, propose
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows

Result = dict[str, Any]


def promote(
    workload: Workload, store: Store, windows: PartitionWindows, who: str, approval: Approval | None = None
) -> Result:
    """Carry out a partition's verdicts: next pack, one version, one move of the alias, one row of the journal.

    Running it again after it ended, or was broken off anywhere, ends in the same state.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        AliasMoved: when another version than the champion was judged; nothing is changed then.
        NeedsApproval: when more of the champion's groups would change than `gate.max_changed`, and no `approval` of
            exactly these verdicts is given.
    """
    proposal = propose(workload, store, windows)
    if proposal.carried_out is not None:
        return _again(workload, store, proposal, proposal.carried_out)
    if proposal.nothing is not None:
        return _not_moved(proposal.nothing, proposal.champion)
    approved_by = approver(workload, windows, proposal, approval)
    return _promote(workload, store, windows, who, proposal, approved_by)


def _promote(
    workload: Workload, store: Store, windows: PartitionWindows, who: str, proposal: Proposal, approved_by: str | None
) -> Result:
    verdicts, base = proposal.verdicts, proposal.base
    models = partition_rows(store, "models", windows.key)
    models = models.filter(pc.field("run") == verdicts.run)
    pack = build_pack(workload, store, windows.partition, models, verdicts.winners, base.kept)
    evidence = _evidence(proposal, pack, _mlflow_run(verdicts, models), approved_by)
    tags = _tags(windows, verdicts, models, evidence)
    version = registry.register(workload, store, pack, evidence["mlflow_run_id"], tags)
    from_version = proposal.champion.version if proposal.champion else None
    move = Move(from_version, version, "gate", who, verdicts.run, windows.key, pack.sha256, evidence)
    return _carry_out(workload, store, move)


def _mlflow_run(verdicts: Verdicts, models: pa.Table) -> str:
    """Return the MLflow run that the pack is logged under: of the algorithm that won most groups, the first by name."""
    won = Counter(verdicts.winners["algorithm"].to_pylist())
    most = min(won, key=lambda name: (-won[name], name))
    return str(models.filter(pc.field("algorithm") == most)["mlflow_run_id"][0].as_py())


def _evidence(proposal: Proposal, pack: BuiltPack, run_id: str, approved_by: str | None) -> dict[str, Any]:
    verdicts = proposal.verdicts
    promoted = verdicts.winners.num_rows
    return {
        "promoted": promoted,
        "held": verdicts.counts.get("hold", 0),
        "rejected": verdicts.counts.get("reject", 0),
        "kept": pack.groups - promoted,
        "dropped": proposal.base.dropped,
        "changed": proposal.changed,
        "groups": pack.groups,
        "judged_against": verdicts.judged_against,
        "verdicts": verdicts.digest,
        "mlflow_run_id": run_id,
        **({"approved_by": approved_by} if approved_by else {}),
    }


def _tags(windows: PartitionWindows, verdicts: Verdicts, models: pa.Table, evidence: dict[str, Any]) -> dict[str, str]:
    """Return the tags of the version, by which it is understood without Muster."""
    counts = {f"muster.{name}": str(evidence[name]) for name in ("groups", "promoted", "kept")}
    return {
        registry.PARTITION: windows.key,
        "muster.run": verdicts.run,
        "muster.features_version": str(models["features_version"][0].as_py()),
        **counts,
    }


def _again(workload: Workload, store: Store, proposal: Proposal, row: dict[str, Any]) -> Result:
    """Finish a move that was journalled, or tell that it was made; what was moved since then stays as it is."""
    done, version = "these verdicts were carried out before, as version", row["to_version"]
    champion, moves = proposal.champion, proposal.moves
    if row is not moves[-1]:
        since = moved_by_human(moves[moves.index(row) + 1 :]) or "the alias was moved"
        return _not_moved(f"{done} {version}, and {since} since", champion)
    found = champion.version if champion else None
    if found != version and not unfinished(store):
        told = (
            f"{done} {version}; the alias is at {found or 'no version'} now, by a hand that the journal does not know"
        )
        what = f"'./muster rollback {workload.name} --to {found or version}' writes it down, '--to {version}' undoes it"
        return _not_moved(f"{told}: nothing was moved; {what}", champion)
    names = ("from_version", "to_version", "cause", "who", "run", "partition", "manifest_sha256")
    move = Move(**{name: row[name] for name in names}, evidence=evidence_of(row))
    return _carry_out(workload, store, move)


def _carry_out(workload: Workload, store: Store, move: Move) -> Result:
    move_alias(workload, store, move)
    counts = {name: move.evidence[name] for name in ("promoted", "kept", "groups")}
    run_id = move.evidence["mlflow_run_id"]
    metrics = {f"pack_{name}": count for name, count in counts.items()}
    add_metrics(run_id, metrics, {"muster.model_version": move.to_version})
    told = {name: getattr(move, name) for name in ("from_version", "to_version", "manifest_sha256")}
    return {"moved": True, "reason": None, **told, **counts, "mlflow_run_id": run_id}


def _not_moved(reason: str, champion: Champion | None) -> Result:
    version = champion.version if champion else None
    digest = champion.manifest_sha256 if champion else None
    nothing = {"promoted": 0, "kept": 0, "groups": 0, "mlflow_run_id": None}
    return {
        "moved": False,
        "reason": reason,
        "from_version": version,
        "to_version": version,
        "manifest_sha256": digest,
        **nothing,
    }
