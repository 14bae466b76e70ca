"""What a partition's verdicts would change, unit by unit, found out before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.errors import AliasMoved, BadChampion
from muster.champions.journal import Journal, Moves, Row, evidence_of
from muster.champions.lineage import as_judged, choices_since, human_choice, moved_by_human
from muster.champions.units import Unit, is_pack, units
from muster.champions.versions import RegisteredVersion, current, numbered
from muster.context import PartitionContext
from muster.evaluation.bucket import DISABLED
from muster.models.build import incumbents
from muster.models.layers import PackAt
from muster.models.manifest import fits
from muster.models.manifest_reader import CorruptManifest, about
from muster.promotion.verdicts import Verdicts, not_judged, run_models, stored_models
from muster.settings import command
from muster.workload.spec import Workload


@dataclass(frozen=True)
class UnitProposal:
    """A unit that has winners, and what becomes of it."""

    unit: Unit
    winners: Sequence[Row]
    """Their decisions."""
    judged_against: str | None
    """The version that was champion to the gate; None when there was none."""
    carried_out: Row | None = None
    """The unit's last move, where it carried out these very verdicts."""
    stays: str | None = None
    """Why the alias stays where it is; None when it would move, or has moved already."""

    @property
    def due(self) -> bool:
        """Whether the alias would move."""
        return self.carried_out is None and self.stays is None


@dataclass(frozen=True)
class Base:
    """What is champion: of a pack, the one that was judged, whose other models are kept."""

    groups: frozenset[str] = frozenset()
    """All that have a champion."""
    kept: pa.Table | None = None
    """The pack's manifest, its shards as paths below the store's root; None without one, or where its models no
    longer fit the workload."""
    pack: PackAt | None = None
    """Where that pack is; None with `kept`."""
    dropped: int = 0
    """How many of its models no longer fit the workload."""

    def changed(self, winners: Sequence[Row]) -> float:
        """Return the share of its groups that get another model, or lose theirs; 0 where it has none."""
        replaced = len(self.groups.intersection(row["group"] for row in winners))
        return (self.dropped or replaced) / len(self.groups) if self.groups else 0.0


@dataclass(frozen=True)
class Proposal:
    """What promotion would do with a partition's verdicts."""

    verdicts: Verdicts
    units: Sequence[UnitProposal] = ()
    """Those with winners."""
    base: Base = field(default_factory=Base)
    champion: RegisteredVersion | None = None
    """Of a pack, the version behind the alias."""
    idle: str | None = None
    """Why nothing is promoted at all, whatever the units; None when the gate is enabled and some group won."""

    @property
    def due(self) -> list[UnitProposal]:
        """The units whose alias would move."""
        return [one for one in self.units if one.due]

    @property
    def done(self) -> list[UnitProposal]:
        """The units in which these very verdicts were carried out already, and no move followed."""
        return [one for one in self.units if one.carried_out is not None]

    @property
    def nothing(self) -> str | None:
        """Why no alias would move; None when one would, or all have moved already."""
        if self.idle is not None or self.due:
            return self.idle
        stays = [one.stays for one in self.units if one.stays]
        if not stays:
            return None
        return stays[0] if len(self.units) == 1 else "every winner stays as it is"

    @property
    def changed(self) -> float:
        """The share of the champion's groups that would change: what an earlier attempt has moved changes no more."""
        return self.base.changed([row for one in self.due for row in one.winners])


def propose(context: PartitionContext, verdicts: Verdicts, journal: Journal) -> Proposal:
    """Find out what a partition's verdicts would change; nothing is written.

    Raises:
        NotJudged: when a pack's decisions are about several champions, or a winner has no model.
        AliasMoved: when a pack's decisions are about another version than the champion.
        BadChampion: when the pack that was judged is missing or corrupt.
        ForeignVersion, NotVouched: when a pack's alias is at what Muster did not put there.
    """
    idle = _idle(context.workload, verdicts)
    if is_pack(context.workload):
        return _of_pack(context, verdicts, journal, idle)
    base = Base(journal.groups)
    return Proposal(verdicts, base=base, idle=idle) if idle else _of_groups(context, verdicts, journal, base)


def _idle(workload: Workload, verdicts: Verdicts) -> str | None:
    if workload.gate.mode == "disabled":
        return DISABLED
    if workload.gate.mode == "dry_run":
        return f"the gate's mode is dry_run: {len(verdicts.winners)} groups would have been promoted"
    return None if verdicts.winners else verdicts.no_winner


def _of_pack(context: PartitionContext, verdicts: Verdicts, journal: Journal, idle: str | None) -> Proposal:
    """Propose for the one unit of all groups, in the light of where its alias is."""
    [unit] = units(context.workload, ()).values()
    champion = current(unit, journal, context.store)
    moves = journal.of(unit)
    if idle is not None:
        return Proposal(verdicts, idle=idle, champion=champion)
    if len(verdicts.champions) != 1:
        raise not_judged(context, "decisions are about several champions")
    [judged] = verdicts.champions
    before = [row for row in moves if evidence_of(row).get("verdicts") == verdicts.digest]
    before = [] if _replaced(verdicts, moves, before, context.partition) else before
    at = champion.version if champion else None
    one = _judged(context, verdicts, UnitProposal(unit, verdicts.winners, judged), moves, before, at, champion)
    if not one.due:
        return Proposal(verdicts, [one], champion=champion)
    if not as_judged(moves, context.partition, judged, at, verdicts.run if verdicts.retry else None):
        raise AliasMoved.since_judged(unit.name, judged, at)
    return Proposal(verdicts, [one], _base(context, verdicts, one, moves, champion), champion=champion)


def _base(
    context: PartitionContext,
    verdicts: Verdicts,
    one: UnitProposal,
    moves: Moves,
    champion: RegisteredVersion | None,
) -> Base:
    """Return the pack that was judged: the champion, or what was champion before this partition's own promotion.

    What the partition's other runs have promoted since, a training beside its retries, is kept with it.
    """
    judged, others = champion, None
    if champion is None or champion.version != one.judged_against:
        others = _manifest(context, champion) if champion and verdicts.others else None
        judged = numbered(one.unit, one.judged_against, moves, context.store) if one.judged_against else None
    manifest = _manifest(context, judged) if judged else None
    if others is not None:
        manifest = _with_others(manifest, others, verdicts.others)
    if manifest is None:
        return Base()
    groups = frozenset(manifest["group"].to_pylist())
    at = judged or champion
    if at is not None and fits(about(manifest), context.workload):
        return Base(groups, manifest, PackAt(at.place, at.digest))
    return Base(groups, dropped=len(groups))


def _manifest(context: PartitionContext, champion: RegisteredVersion) -> pa.Table:
    try:
        return incumbents(context.store, champion.place, champion.digest)
    except CorruptManifest as error:
        raise BadChampion(champion.version, error) from error


def _with_others(judged: pa.Table | None, champion: pa.Table, runs: Collection[str]) -> pa.Table:
    """Return the rows of the champion's manifest that are of some runs, over those of what was judged."""
    own = champion.filter(pc.is_in(champion["origin_run"], pa.array(sorted(runs), pa.string())))
    if judged is None:
        return own
    kept = judged.filter(pc.invert(pc.is_in(judged["group"], own["group"].combine_chunks())))
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in (kept, own.select(kept.column_names))])
    return rows.replace_schema_metadata(judged.schema.metadata)


def _of_groups(context: PartitionContext, verdicts: Verdicts, journal: Journal, base: Base) -> Proposal:
    """Propose for each winner's own unit, by the journal alone: where the aliases are, promotion itself asks."""
    models = stored_models(context, verdicts, run_models(context, verdicts))
    answering = units(context.workload, [row["group"] for row in verdicts.winners])
    proposals = []
    for row in verdicts.winners:
        unit = answering[row["group"]]
        own = journal.of(unit)
        before = _promoted_before(verdicts, own, context.partition, models[row["group"]]["sha256"])
        at = own[-1]["to_version"] if own else None
        proposals.append(
            _judged(context, verdicts, UnitProposal(unit, [row], row["champion_version"]), own, before, at)
        )
    return Proposal(verdicts, proposals, base)


def _promoted_before(verdicts: Verdicts, moves: Moves, partition: str, digest: str) -> Moves:
    """Return the moves by which the gate promoted a partition's very model of a group, whichever run has trained it.

    A run that comes to the same bytes has the same version: it is carried out where that is champion, and where a human
    took it back, that stays.
    """
    promoted = (partition, digest, "gate")
    before = [move for move in moves if (move["partition"], move["manifest_sha256"], move["cause"]) == promoted]
    return [] if _replaced(verdicts, moves, before, partition) else before


def _replaced(verdicts: Verdicts, moves: Moves, before: Moves, partition: str) -> bool:
    """Tell whether what was carried out `before` may be carried out anew: the gate, and no human, has replaced it since
    by other models of the partition.

    It has judged them again then, later: a wrong correction of the data was put right, and training came to the first
    models again. What was promoted beside them replaces nothing: a retry of the partition, or its training.
    """
    since = _without_others(verdicts, choices_since(moves, before[-1])) if before else []
    return bool(since) and since[-1]["partition"] == partition and moved_by_human(since) is None


def _judged(
    context: PartitionContext,
    verdicts: Verdicts,
    one: UnitProposal,
    moves: Moves,
    before: Moves,
    at: str | None,
    champion: RegisteredVersion | None = None,
) -> UnitProposal:
    """Return the unit's proposal with what the journal says of it.

    `moves` are the unit's own, `before` those by which these very verdicts were carried out; `at` is where the alias
    is, as far as known.
    """
    if before:
        return _again(context, verdicts, one, moves, before[-1], at)
    partition = champion.partition if champion else moves[-1]["partition"] if moves else ""
    if at is not None and partition > context.partition:
        return replace(one, stays=f"the champion is of a later partition, {partition}")
    return replace(one, stays=human_choice(moves, verdicts.run, context.partition, at))


def _without_others(verdicts: Verdicts, moves: Moves) -> Moves:
    """Return the moves but the gate's of the partition's other runs, which are about other groups."""
    return [move for move in moves if move["cause"] != "gate" or move["run"] not in verdicts.others]


def _again(
    context: PartitionContext, verdicts: Verdicts, one: UnitProposal, moves: Moves, row: Row, at: str | None
) -> UnitProposal:
    """Return the proposal of a unit in which these verdicts were carried out before: what was chosen since stays.

    Who put their version back that somebody removed has chosen none; it may have got another number.
    """
    done = "these verdicts were carried out before, as version"
    if since := choices_since(moves, row):
        beside = "its other groups were promoted" if not _without_others(verdicts, since) else "the alias was moved"
        return replace(one, stays=f"{done} {row['to_version']}, and {moved_by_human(since) or beside} since")
    version = moves[-1]["to_version"]
    if at != version and row["made"]:
        write_down = command(f"rollback {context.workload.name} --to {at or version}")
        what = f"'{write_down}' writes it down, '--to {version}' undoes it"
        now = f"the alias is at {at or 'no version'} now, by a hand that the journal does not know"
        return replace(one, stays=f"{done} {version}; {now}: nothing was moved; {what}")
    return replace(one, carried_out={**row, "to_version": version})
