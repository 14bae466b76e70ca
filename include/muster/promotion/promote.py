"""Promote: a partition's winners become champions, by one move of one alias or by a move of each group's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from muster.champions.access import Access
from muster.champions.alias import AliasMove, at_alias, check_none_under_way, move_alias, position
from muster.champions.artifacts import Artifact, register, remove_twin
from muster.champions.errors import AliasGone, AliasMoved, JournalGone, NameTaken
from muster.champions.journal import Journal, JournalMovedOn, Move, Row
from muster.champions.lineage import as_judged, champion_of, last_row_of
from muster.champions.units import Unit, is_pack
from muster.champions.versions import check_owner
from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.mlflow.budget import muster_errors
from muster.models.build import missing_of
from muster.promotion.approval import Approval, approver
from muster.promotion.promoted import artifacts, evidence, outcome
from muster.promotion.proposal import Proposal, UnitProposal, propose
from muster.promotion.unit_tasks import Over, UnitTasks
from muster.promotion.verdicts import Verdicts, read_verdicts
from muster.settings import settings

Result = dict[str, Any]
ATTEMPTS = 3
"""How often a promotion is tried that others' moves come before, of other groups or by its own twin."""


class NotRegistered(MusterError):
    """Raised when groups' models could not be registered, or their aliases not be moved; the others' were."""

    retryable = True

    def __init__(self, workload: str, problems: Mapping[str | None, str]) -> None:
        groups = bounded(f"'{group}': {why}" for group, why in sorted(problems.items(), key=str))
        super().__init__(f"{workload}: {len(problems)} groups were not promoted: {groups}; run promote again")


class PackSwept(MusterError):
    """Raised when files of the next pack were removed while it was registered; nothing was moved."""

    retryable = True

    def __init__(self, workload: str, files: Sequence[str]) -> None:
        super().__init__(f"{workload}: files of the next pack were removed meanwhile: {bounded(files)}; promote again")


@muster_errors()
def promote(
    context: PartitionContext, who: str, approval: Approval | None, over: Over, retry: str | None = None
) -> Result:
    """Carry out a partition's verdicts, or those on a retry; what a human or a later partition settled stays as it is.

    First the winners are registered, then all moves are journalled in one commit, then the aliases are moved. Running
    it again after it ended, or was broken off anywhere, ends in the same state: a version is found by its digest, a
    journalled move that was not made is made, one that was made is not repeated.

    Raises:
        NotJudged: when the partition has no decisions, or those of several runs.
        NeedsApproval: when more of the champion's groups would change than `gate.max_changed`, and no `approval` of
            exactly these verdicts is given.
        AliasMoved: when no alias is at the version that was judged.
        MoveUnderWay: when another move is being made.
        BudgetSpent: when MLflow takes no more calls for now.
        NotRegistered: when MLflow failed for some groups; the others are promoted.
        PackSwept: when somebody has removed files of the next pack.
    """
    verdicts = read_verdicts(context, retry)
    tasks = UnitTasks(over, Access.of_driver(settings(), len(verdicts.winners)))
    this = _Promotion(context, who, tasks)
    proposal = this.attempt(verdicts, approval)
    if this.problems:
        raise NotRegistered(context.workload.name, this.problems)
    return outcome(context, proposal, this.rows(proposal), this.left, tasks)


class RegisteredAs(NamedTuple):
    """A version of a unit, and what is registered by it."""

    version: str
    digest: str


@dataclass
class _Promotion:
    """One call of `promote`: what it works with, and what came of each unit."""

    context: PartitionContext
    who: str
    tasks: UnitTasks
    approved_by: str | None = None

    def __post_init__(self) -> None:
        self.left: dict[str | None, str] = {}
        """Why aliases stay where they are, by the unit's group."""
        self.there: set[str | None] = set()
        """Whose champion has the winner's very bytes: there is nothing to move."""
        self.problems: dict[str | None, str] = {}
        self.retry: str | None = None
        self.moved: Sequence[Row] = ()
        """The journal's rows of the moves that this call made."""
        self.finished = False
        """Whether this call made moves that an earlier one had journalled."""
        self.registered: dict[str | None, RegisteredAs] = {}
        """What this call registered, or found registered."""

    def attempt(self, verdicts: Verdicts, approval: Approval | None) -> Proposal:
        """Carry the verdicts out; where another process moved aliases meanwhile, look again whether all is as judged.

        Raises:
            AliasMoved: when it is not.
        """
        stopped: AliasMoved | None = None
        for attempt in range(1, ATTEMPTS + 1):
            journal = Journal(self.context.store)
            proposal = self._proposed(verdicts, journal, stopped)
            self.retry = verdicts.run if verdicts.retry else None
            self.finish_begun(proposal, journal)
            self._remove_twins(proposal, journal)
            if proposal.nothing is not None or not proposal.due:
                return proposal
            self.approved_by = approver(self.context, proposal, approval)
            stopped = self.carry_out(proposal, journal)
            if stopped is None or self.problems or (attempt == ATTEMPTS and proposal.done):
                return proposal
        assert stopped is not None  # noqa: S101 - for the type: else it has returned
        raise stopped

    def _proposed(self, verdicts: Verdicts, journal: Journal, stopped: AliasMoved | None) -> Proposal:
        """Return the proposal; after an attempt that was stopped only one of the same verdicts, as they were judged."""
        retry = verdicts.run if verdicts.retry else None
        if stopped is not None and read_verdicts(self.context, retry).digest != verdicts.digest:
            raise stopped
        try:
            proposal = propose(self.context, verdicts, journal)
        except AliasMoved:
            if stopped is None:
                raise
            raise stopped from None
        if stopped is not None and is_pack(self.context.workload) and not proposal.done:
            raise stopped
        self.left = {}
        return proposal

    def _remove_twins(self, proposal: Proposal, journal: Journal) -> None:
        """Remove what this call registered where another process has just carried out the same, by its own version."""
        for one in proposal.done:
            mine, row = self.registered.get(one.unit.group), one.carried_out
            known = {move["to_version"] for move in journal.of(one.unit)} if mine else set()
            if mine and row and mine.digest == row["manifest_sha256"] and mine.version not in known:
                remove_twin(one.unit, mine.version)

    def finish_begun(self, proposal: Proposal, journal: Journal) -> None:
        """Make the moves that an earlier attempt has journalled for these very verdicts, and not made."""
        done = [(one.unit, one.carried_out) for one in proposal.done if one.carried_out is not None]
        begun = [AliasMove.of_row(unit, row) for unit, row in done if not row["made"]]
        self.finished |= bool(begun)
        self._move(begun, journal)

    def carry_out(self, proposal: Proposal, journal: Journal) -> AliasMoved | None:
        """Register the winners, journal the moves, make them; return why none was made, where others came first.

        By the journal that the proposal was made by: what was moved since is a reason to look again.
        """
        built = artifacts(self.context, proposal)
        rows = self.tasks.run(built, _register, ["version", "at", "taken"])
        self.problems |= {row["group"]: row["problem"] for row in rows if row["problem"]}
        self.left |= {row["group"]: row["taken"] for row in rows if row["taken"]}
        registered = {row["group"]: row for row in rows if row["version"]}
        self.registered = {
            item.unit.group: RegisteredAs(registered[item.unit.group]["version"], item.digest)
            for item in built
            if item.unit.group in registered
        }
        by_group = {one.unit.group: one for one in proposal.due}
        check_none_under_way(journal, {by_group[group].unit: row["at"] for group, row in registered.items()})
        moves = [
            self._planned(proposal, by_group[item.unit.group], item, registered[item.unit.group])
            for item in built
            if item.unit.group in registered and self._as_judged(by_group[item.unit.group], registered, journal)
        ]
        if moves:
            self._check_whole(built)
            try:
                self.moved = journal.append(moves)
            except JournalMovedOn as moved_on:
                unit, judged, last = moves[0].unit, moves[0].from_version, moved_on.last["to_version"]
                return AliasMoved.since_judged(unit.name, judged, last, "another move came first")
            self._move([AliasMove.of(move) for move in moves], journal)
        elif elsewhere := [by_group[group] for group in self.left if group in registered and group not in self.there]:
            one, *_ = elsewhere
            at, why = registered[one.unit.group]["at"], self.left[one.unit.group]
            return AliasMoved.since_judged(
                one.unit.name, one.judged_against, at, why if at in (None, one.judged_against) else ""
            )
        return None

    def _check_whole(self, built: Sequence[Artifact]) -> None:
        """Check that a pack's files are there, before it is champion: an old one may have been swept as it was built.

        Raises:
            PackSwept: when any is not.
        """
        for artifact in built:
            if artifact.unit.group is None and (gone := missing_of(self.context.store, artifact.digest)):
                raise PackSwept(self.context.workload.name, gone)

    def _as_judged(self, one: UnitProposal, registered: Mapping[str | None, Row], journal: Journal) -> bool:
        """Tell whether a unit's alias is to move; where it is neither there already nor as judged, note why not."""
        row, moves = registered[one.unit.group], journal.of(one.unit)
        if row["at"] == row["version"]:
            self.left[one.unit.group] = f"the alias is at version {row['at']} already, the winner's very bytes"
            if champion_of(moves) == row["at"]:  # and not by a hand
                self.there.add(one.unit.group)
            return False
        if row["at"] is None and (champion := champion_of(moves)):
            gone = AliasGone(one.unit.workload, one.unit.name, one.unit.group, champion)
            self.left[one.unit.group] = str(gone)
            return False
        if as_judged(moves, self.context.partition, one.judged_against, row["at"], self.retry):
            if row["at"] is None or last_row_of(moves, row["at"]):
                return True
            self.left[one.unit.group] = str(JournalGone.shown(one.unit.workload, one.unit.name, row["at"]))
            return False
        at, judged = row["at"] or "none", one.judged_against or "none"
        self.left[one.unit.group] = f"the alias is at version {at}, but {judged} was judged"
        return False

    def _planned(self, proposal: Proposal, one: UnitProposal, artifact: Artifact, row: Row) -> Move:
        return Move(
            unit=one.unit,
            from_version=row["at"],
            to_version=row["version"],
            cause="gate",
            who=self.who,
            run=proposal.verdicts.run,
            partition=self.context.partition,
            manifest_sha256=artifact.digest,
            evidence=evidence(self.context, proposal, one, artifact, self.approved_by),
        )

    def _move(self, moves: Sequence[AliasMove], journal: Journal) -> None:
        """Make journalled moves; note them as made, or what went wrong.

        Raises:
            AliasMoved: when the one alias of a pack was moved, but not by Muster.
        """
        if not moves:
            return
        rows = self.tasks.run(moves, _move_alias, ["left"])
        left = {row["group"]: row["left"] for row in rows if row["left"]}
        problems = {row["group"]: row["problem"] for row in rows if row["problem"]}
        self.problems |= problems
        if None in left:
            unit = moves[0].unit
            raise AliasMoved.since_judged(unit.name, moves[0].from_version, position(unit), left[None])
        self.left |= left
        journal.note_made([move.unit for move in moves if move.unit.group not in problems])

    def rows(self, proposal: Proposal) -> list[Row]:
        """Return the journal's rows of what these verdicts have moved, in all: none where nothing is new of it."""
        done = [one.carried_out for one in proposal.done if one.carried_out is not None]
        rows = [row for row in (*done, *self.moved) if row["group"] not in self.left]
        return rows if self.moved or self.finished or len(rows) == len(proposal.units) else []


def _register(artifact: Artifact) -> dict[str, str | None]:
    unit: Unit = artifact.unit
    try:
        version = register(artifact).version
        at = at_alias(unit)
        check_owner(unit, at.tags if at else {})
    except NameTaken as taken:
        if unit.group is None:
            raise
        return {"version": None, "at": None, "taken": str(taken)}
    return {"version": version, "at": str(at.version) if at else None, "taken": None}


def _move_alias(move: AliasMove) -> dict[str, str | None]:
    return {"left": move_alias(move)}
