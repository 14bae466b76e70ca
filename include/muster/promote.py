"""Promote: the winners of a partition's gate and the champion's other models become the next champion."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError
from muster.gate.bucket import DISABLED
from muster.pack import registry
from muster.pack.alias import AliasMoved, Move, journal, move_alias, unfinished
from muster.pack.build import BuiltPack, build_pack, incumbents
from muster.pack.lineage import evidence_of, moved_by_human, settled_by_human, stood
from muster.pack.manifest import about, fits
from muster.pack.registry import Champion
from muster.runs import add_metrics
from muster.tables import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows

Result = dict[str, Any]


class NotJudged(MusterError):
    """Raised when a partition has no decisions to carry out."""

    def __init__(self, workload: str, partition: str, why: str) -> None:
        super().__init__(f"{workload} {partition}: {why}; run evaluate for this partition first")


@dataclass(frozen=True)
class Verdicts:
    """What the gate decided for one run."""

    run: str
    judged_against: str | None
    """The version that was champion to the gate; None when there was none."""
    counts: dict[str, int]
    winners: pa.Table
    """`group`, `algorithm` and `score` of each model to promote."""

    @property
    def digest(self) -> str:
        """Tell these verdicts from others: the run whose models they are about, and which won."""
        won = zip(*(self.winners[name].to_pylist() for name in ("group", "algorithm")), strict=True)
        text = json.dumps([self.run, sorted(won)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def promote(workload: Workload, store: Store, windows: PartitionWindows, who: str) -> Result:
    """Carry out a partition's verdicts: next pack, one version, one move of the alias, one row of the journal.

    Running it again after it ended, or was broken off anywhere, ends in the same state.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        AliasMoved: when another version than the champion was judged; nothing is changed then.
    """
    verdicts = _verdicts(workload, store, windows.key)
    if workload.gate.mode != "enabled":
        return _not_moved(_idle(workload, verdicts), registry.current(workload, store))
    moves = journal(store)
    before = [row for row in moves if evidence_of(row).get("verdicts") == verdicts.digest]
    if before:
        return _again(workload, store, moves, before[-1])
    champion = registry.current(workload, store)
    if verdicts.winners.num_rows == 0:
        return _not_moved("no group was promoted", champion)
    if champion is not None and champion.partition > windows.key:
        return _not_moved(f"the champion is of a later partition, {champion.partition}", champion)
    if champion is not None and (why := settled_by_human(moves, verdicts.run, windows.key, champion.version)):
        return _not_moved(why, champion)
    base = _base(workload, store, windows.key, verdicts, champion, moves)
    return _promote(workload, store, windows, who, verdicts, champion, base)


def _promote(
    workload: Workload,
    store: Store,
    windows: PartitionWindows,
    who: str,
    verdicts: Verdicts,
    champion: Champion | None,
    base: Champion | None,
) -> Result:
    models = _partition(store, "models", windows.key)
    models = models.filter(pc.field("run") == verdicts.run)
    carried, dropped = _carried(workload, store, base)
    pack = build_pack(workload, store, windows.partition, models, verdicts.winners, carried)
    evidence = _evidence(verdicts, pack, dropped, _mlflow_run(verdicts, models))
    tags = _tags(windows, verdicts, models, evidence)
    version = registry.register(workload, store, pack, evidence["mlflow_run_id"], tags)
    from_version = champion.version if champion else None
    move = Move(from_version, version, "gate", who, verdicts.run, windows.key, pack.sha256, evidence)
    return _carry_out(workload, store, move)


def _idle(workload: Workload, verdicts: Verdicts) -> str:
    if workload.gate.mode == "disabled":
        return DISABLED
    return f"the gate's mode is dry_run: {verdicts.winners.num_rows} groups would have been promoted"


def _verdicts(workload: Workload, store: Store, partition: str) -> Verdicts:
    rows = _partition(store, "decisions", partition)
    for column in ("run", "champion_version"):
        if len(set(rows[column].to_pylist())) != 1:
            why = f"decisions hold several values of '{column}'" if rows.num_rows else "decisions hold no row of it"
            raise NotJudged(workload.name, partition, why)
    won = rows.filter(pc.field("verdict") == "promote")
    winners = won.select(["group", "algorithm", "candidate_score"]).rename_columns(["group", "algorithm", "score"])
    counts = dict(Counter(rows["verdict"].to_pylist()))
    return Verdicts(rows["run"][0].as_py(), rows["champion_version"][0].as_py(), counts, winners)


def _partition(store: Store, table: str, partition: str) -> pa.Table:
    """Return the rows of one partition of a Delta table."""
    delta = store.open(table)
    if delta is None:
        raise NotJudged(store.workload, partition, f"there is no table '{table}'")
    return delta.to_pyarrow_table(filters=[("partition", "=", partition)])


def _base(
    workload: Workload,
    store: Store,
    partition: str,
    verdicts: Verdicts,
    champion: Champion | None,
    moves: list[dict[str, Any]],
) -> Champion | None:
    """Return the pack that was judged, whose other models are kept; None when there was none.

    It is the champion; or, where this very partition was promoted before (trained again on mended data), the one that
    was champion before that; but never where a human moved the alias since, whose choice of models it would undo.

    Raises:
        AliasMoved: when it is neither.
    """
    found, judged = champion.version if champion else None, verdicts.judged_against
    if found == judged:
        return champion
    last = moves[-1] if moves else {}
    if (last.get("partition"), last.get("cause"), last.get("to_version")) == (partition, "gate", found):
        before = stood(moves, found, lambda key: key < partition)
        if before == judged:
            return None if judged is None else registry.version(workload, store, judged)
    raise AliasMoved(workload.name, judged, found)


def _carried(workload: Workload, store: Store, base: Champion | None) -> tuple[pa.Table | None, int]:
    """Return the champion's manifest to carry on with, or the number of its models that no longer fit the workload."""
    if base is None:
        return None, 0
    manifest = incumbents(store, base.folder, base.manifest_sha256)
    if fits(about(manifest), workload):
        return manifest, 0
    return None, manifest.num_rows


def _mlflow_run(verdicts: Verdicts, models: pa.Table) -> str:
    """Return the MLflow run that the pack is logged under: of the algorithm that won most groups, the first by name."""
    won = Counter(verdicts.winners["algorithm"].to_pylist())
    most = min(won, key=lambda name: (-won[name], name))
    return str(models.filter(pc.field("algorithm") == most)["mlflow_run_id"][0].as_py())


def _evidence(verdicts: Verdicts, pack: BuiltPack, dropped: int, run_id: str) -> dict[str, Any]:
    promoted = verdicts.winners.num_rows
    return {
        "promoted": promoted,
        "held": verdicts.counts.get("hold", 0),
        "rejected": verdicts.counts.get("reject", 0),
        "kept": pack.groups - promoted,
        "dropped": dropped,
        "groups": pack.groups,
        "judged_against": verdicts.judged_against,
        "verdicts": verdicts.digest,
        "mlflow_run_id": run_id,
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


def _again(workload: Workload, store: Store, moves: list[dict[str, Any]], row: dict[str, Any]) -> Result:
    """Finish a move that was journalled, or tell that it was made; what was moved since then stays as it is."""
    done, version = "these verdicts were carried out before, as version", row["to_version"]
    champion = registry.current(workload, store)
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
