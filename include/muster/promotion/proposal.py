"""What a partition's verdicts would change, found out before anything is changed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions import registry
from muster.champions.alias import AliasMoved, journal
from muster.champions.lineage import evidence_of, newest_ancestor, settled_by_human
from muster.champions.registry import Champion
from muster.errors import MusterError
from muster.evaluation.bucket import DISABLED
from muster.models.build import incumbents
from muster.models.manifest import about, fits
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows


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


@dataclass(frozen=True)
class Base:
    """The pack that was judged, whose other models are kept."""

    groups: frozenset[str]
    """All that it holds."""
    kept: pa.Table | None = None
    """Its manifest; None when its models no longer fit the workload."""

    @property
    def dropped(self) -> int:
        """How many of its models no longer fit the workload."""
        return len(self.groups) if self.kept is None else 0

    def changed(self, winners: pa.Table) -> float:
        """Return the share of its groups that get another model, or lose theirs; 0 where it has none."""
        replaced = len(self.groups.intersection(winners["group"].to_pylist()))
        return (self.dropped or replaced) / len(self.groups) if self.groups else 0.0


@dataclass(frozen=True)
class Proposal:
    """What promotion would do with a partition's verdicts."""

    verdicts: Verdicts
    moves: list[dict[str, Any]]
    champion: Champion | None
    carried_out: dict[str, Any] | None = None
    """The row of the journal by which these very verdicts were carried out before."""
    nothing: str | None = None
    """Why the alias stays where it is; None when it would move."""
    base: Base = field(default_factory=lambda: Base(frozenset()))

    @property
    def changed(self) -> float:
        """The share of the champion's groups that would change."""
        return self.base.changed(self.verdicts.winners)


def propose(workload: Workload, store: Store, windows: PartitionWindows) -> Proposal:
    """Find out what a partition's verdicts would change; nothing is written.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        AliasMoved: when another version than the champion was judged.
    """
    verdicts = _verdicts(workload, store, windows.key)
    moves = journal(store)
    champion = registry.current(workload, store)
    proposal = Proposal(verdicts, moves, champion)
    if workload.gate.mode != "enabled":
        return replace(proposal, nothing=idle(workload, verdicts))
    before = [row for row in moves if evidence_of(row).get("verdicts") == verdicts.digest]
    if before:
        return replace(proposal, carried_out=before[-1])
    if verdicts.winners.num_rows == 0:
        return replace(proposal, nothing="no group was promoted")
    if champion is not None and champion.partition > windows.key:
        return replace(proposal, nothing=f"the champion is of a later partition, {champion.partition}")
    if champion is not None and (why := settled_by_human(moves, verdicts.run, windows.key, champion.version)):
        return replace(proposal, nothing=why)
    base = _base(workload, store, windows.key, verdicts, champion, moves)
    return replace(proposal, base=_carried(workload, store, base))


def idle(workload: Workload, verdicts: Verdicts) -> str:
    """Tell why a gate that is not enabled promotes nothing."""
    if workload.gate.mode == "disabled":
        return DISABLED
    return f"the gate's mode is dry_run: {verdicts.winners.num_rows} groups would have been promoted"


def _verdicts(workload: Workload, store: Store, partition: str) -> Verdicts:
    rows = partition_rows(store, "decisions", partition)
    for column in ("run", "champion_version"):
        if len(set(rows[column].to_pylist())) != 1:
            why = f"decisions hold several values of '{column}'" if rows.num_rows else "decisions hold no row of it"
            raise NotJudged(workload.name, partition, why)
    won = rows.filter(pc.field("verdict") == "promote")
    winners = won.select(["group", "algorithm", "candidate_score"]).rename_columns(["group", "algorithm", "score"])
    counts = dict(Counter(rows["verdict"].to_pylist()))
    return Verdicts(rows["run"][0].as_py(), rows["champion_version"][0].as_py(), counts, winners)


def partition_rows(store: Store, table: str, partition: str) -> pa.Table:
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
        before = newest_ancestor(moves, found, lambda key: key < partition)
        if before == judged:
            return None if judged is None else registry.version(workload, store, judged)
    raise AliasMoved(workload.name, judged, found)


def _carried(workload: Workload, store: Store, base: Champion | None) -> Base:
    if base is None:
        return Base(frozenset())
    manifest = incumbents(store, base.folder, base.manifest_sha256)
    groups = frozenset(manifest["group"].to_pylist())
    return Base(groups, manifest if fits(about(manifest), workload) else None)
