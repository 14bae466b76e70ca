"""Where a pack goes back to: a version that was champion, or a new pack in which some groups have older models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.alias import position
from muster.champions.errors import (
    ALIAS,
    NO_VERSION,
    PRESENT,
    AliasMoved,
    ForeignVersion,
    JournalGone,
    NameTaken,
    NotVouched,
    VersionGone,
    version_text,
)
from muster.champions.journal import Journal, Moves, Row, evidence_of
from muster.champions.lineage import RESTORED, champion_before, last_row_of, newest_ancestor, promotion_of, same
from muster.champions.pack_artifact import files_gone
from muster.champions.units import Unit, units
from muster.champions.unrecorded import check_begun
from muster.champions.versions import RegisteredVersion, numbered, of_move
from muster.context import Context
from muster.errors import UnknownName, bounded
from muster.models.build import BadSource, incumbents, read_models
from muster.models.layers import PackAt
from muster.models.manifest import allowed_imports_of, fits
from muster.models.manifest_reader import CorruptManifest, about
from muster.printable import number
from muster.promotion.difference import changes
from muster.promotion.rollback_plan import (
    CannotRollBack,
    NoSuchGroups,
    RollbackPlan,
    Step,
    Target,
    begun_before,
    moved_on_from,
)
from muster.settings import rollback_command


class _Present(NamedTuple):
    """What a rollback leaves: a version, and its pack where registry and journal agree on it."""

    version: str | None
    """None where somebody removed the alias, or the version."""
    pack: RegisteredVersion | None
    problem: str | None
    """Why there is no pack to read: a rollback is the remedy for what nobody vouches for, so it is no error."""


def plan_pack(context: Context, journal: Journal, asked: Mapping[str, Any], against: str | None) -> RollbackPlan:
    """Find out what a rollback of a pack would do, and whether it can; change nothing.

    Raises:
        CannotRollBack: when there is nothing to go back to, or it cannot be scored with.
        JournalGone: when somebody was promoted and the journal has no move of it.
        UnknownName: when the version was never champion; NoSuchGroups: when a group is in neither pack.
        AliasMoved: when the champion is not `against`.
    """
    [unit] = units(context.workload, ()).values()
    this = _Planner(context, unit, journal.of(unit))
    seen = position(unit)
    if not this.moves and seen is not None:
        raise JournalGone.shown(unit.workload, unit.name, seen)
    check_begun(context.store, journal)
    if not this.moves:
        raise CannotRollBack(context.workload.name, "there is no champion yet")
    begun = begun_before([this.moves], asked, against)
    begun = [] if moved_on_from(begun, {None: seen}) else begun
    leaves = begun[0]["from_version"] if begun else this.leaves(seen, asked)
    if against not in (None, leaves or NO_VERSION):
        raise AliasMoved.since_compared(context.workload.name, unit.name, against, seen)
    present = this.present(leaves)
    if asked["groups"] and not begun:
        step, more = this.chosen_groups(present, seen, asked)
    else:
        step, more = this.whole(present, seen, begun[0] if begun else this.goes_to(leaves, asked["version"]))
    number, left = journal.count, leaves or NO_VERSION
    return RollbackPlan(asked, [step], number=number, against=left, begun=bool(begun), **more)


class _Planner:
    """Plans the way back of one pack."""

    def __init__(self, context: Context, unit: Unit, moves: Moves) -> None:
        self.context, self.unit, self.moves = context, unit, moves
        self.name = context.workload.name

    def leaves(self, seen: str | None, asked: Mapping[str, Any]) -> str | None:
        """Return the version to roll back from: as seen, unless somebody went there by hand, which is written down."""
        last = str(self.moves[-1]["to_version"])
        return last if seen is not None and asked == {"version": seen, "groups": []} else seen

    def goes_to(self, leaves: str | None, version: str | None) -> Row:
        """Return the latest move to what is gone back to: the version asked for, or the one before the last promotion.

        A number is of the version that had it last: where the registered model was deleted, an earlier one had it too.
        """
        if version is not None:
            return self.moves[-1] if version == PRESENT else self.was_champion(version)
        before = champion_before(self.moves, leaves)
        if before is None or same(before, last_row_of(self.moves, leaves)):
            present = rollback_command(self.name, None, leaves or PRESENT)
            again = f"`{present}` uploads its files again, where MLflow has lost them"
            why = f"there was no champion before {version_text(leaves)}, by the journal; name a version; {again}"
            raise CannotRollBack(self.name, why)
        return before

    def present(self, version: str | None) -> _Present:
        if version is None:
            return _Present(None, None, f"the alias {ALIAS}, or its version, was removed")
        try:
            return _Present(version, numbered(self.unit, version, self.moves, self.context.store), None)
        except (NotVouched, ForeignVersion, NameTaken, VersionGone) as error:
            return _Present(version, None, str(error))

    def whole(self, present: _Present, seen: str | None, row: Row) -> tuple[Step, dict[str, Any]]:
        """Plan to go back to what the move `row` made champion, as it is."""
        target = self.version_of(row)
        before, problem = None, present.problem
        try:
            if present.pack is not None:
                before = self._manifest(present.pack)
        except CorruptManifest as error:  # then all the more reason to leave it
            problem = str(error)
        after = self.opened(target)
        lost = not target.deleted and bool(files_gone(target, self.context.store))
        if lost or present.pack is None or target.digest != present.pack.digest:
            self._check_models(after)
        description = about(after)
        to = Target(target.version, target.digest, description["run"], target.partition, self.logged_under(row))
        if target.deleted:
            evidence = {**to.evidence, RESTORED: target.version}
            to = replace(to, version=None, evidence=evidence, manifest=after, again=target)
        elif lost:
            to = replace(to, manifest=after, again=target, lost=True)
        return Step(self.unit, seen, present.version, to), {
            "changes": changes(before, after, lambda group: target.version),
            "groups": after.num_rows,
            "fallback": description["fallback"],
            "problem": problem,
        }

    def chosen_groups(
        self, present: _Present, seen: str | None, asked: Mapping[str, Any]
    ) -> tuple[Step, dict[str, Any]]:
        """Plan a new pack in which the groups asked for have earlier models, and the others stay as they are."""
        if (champion := present.pack) is None:
            why = f"the other groups' models would stay, and {present.problem}; roll back without groups first"
            raise CannotRollBack(self.name, why)
        before = self.opened(champion)
        sources = self.sources(champion, before, asked)
        rows = [self._of_source(row, sources) for row in {row["at"]: row for row in sources.values()}.values()]
        self._check_known(asked, champion, before, rows)
        kept = before.filter(pc.invert(pc.is_in(before["group"], value_set=pa.array(list(sources), pa.string()))))
        plain = [table.replace_schema_metadata(None).select(before.column_names) for table in (kept, *rows)]
        after = pa.concat_tables(plain)
        changed = changes(before, after, lambda group: str(sources[group]["to_version"]))
        description = about(before)
        gone = [change.group for change in changed if change.change == "disappears"]
        fallback = description["fallback"]
        if not after.num_rows or (gone and fallback == "error"):
            why = f"'{fallback}' answers for groups without a model, and {len(gone)} would have none: {bounded(gone)}"
            raise CannotRollBack(self.name, why)
        newest = max(champion.partition, *after["origin_partition"].to_pylist())
        imports, base = allowed_imports_of(before, *rows), PackAt(champion.place, champion.digest)
        evidence = self.logged_under(last_row_of(self.moves, champion.version) or {})
        to = Target(None, "", description["run"], newest, evidence, manifest=after, imports=imports, base=base)
        more = {"changes": changed, "groups": after.num_rows, "fallback": fallback}
        return Step(self.unit, seen, present.version, to), more

    def sources(self, champion: RegisteredVersion, before: pa.Table, asked: Mapping[str, Any]) -> dict[str, Row]:
        """Return by group the move to the version whose model it gets: the one asked for, or the one that it had before
        its present model.

        That is by the present model's partition, so groups that were promoted together come from the same version.
        """
        groups, version = asked["groups"], asked["version"]
        if version is not None:
            return dict.fromkeys(groups, self.was_champion(version))
        today = dict(zip(before["group"].to_pylist(), before["origin_partition"].to_pylist(), strict=True))
        if unknown := set(groups) - today.keys():
            raise NoSuchGroups(unknown, f"version {champion.version}", today)
        by = {key: newest_ancestor(self.moves, champion.version, key.__gt__) for key in {today[g] for g in groups}}
        now = last_row_of(self.moves, champion.version)
        sources = {group: row for group in groups if (row := by[today[group]]) is not None and not same(row, now)}
        if first := sorted(set(groups) - sources.keys()):
            models = f"the models of {number(len(first), 'group')}: {bounded(first)}"
            why = f"there was no champion before {models}; name a version"
            raise CannotRollBack(self.name, why)
        return sources

    def _of_source(self, row: Row, sources: Mapping[str, Row]) -> pa.Table:
        """Return the verified rows of the groups that come from the version of a move."""
        manifest = self.opened(self.version_of(row))
        mine = pa.array([group for group, source in sources.items() if source["at"] == row["at"]], pa.string())
        rows = manifest.filter(pc.is_in(manifest["group"], value_set=mine))
        self._check_models(rows)
        return rows

    def _check_known(
        self, asked: Mapping[str, Any], champion: RegisteredVersion, before: pa.Table, rows: list[pa.Table]
    ) -> None:
        known = {group for table in (before, *rows) for group in table["group"].to_pylist()}
        if unknown := set(asked["groups"]) - known:
            raise NoSuchGroups(unknown, f"version {champion.version} and in version {asked['version']}", known)

    def was_champion(self, version: str) -> Row:
        """Return the latest move to a version that was champion at some time."""
        row = last_row_of(self.moves, version)
        if row is None:
            raise UnknownName("earlier champion: version", version, {move["to_version"] for move in self.moves})
        return row

    def version_of(self, row: Row) -> RegisteredVersion:
        """Return what a move made champion."""
        return of_move(self.unit, row, self.moves, self.context.store)

    def logged_under(self, promotion: Row) -> dict[str, Any]:
        """Return the MLflow run that the pack of a move is logged under, or of the promotion that it came of."""
        if "mlflow_run_id" not in evidence_of(promotion):  # a rollback of before they were carried on
            promotion = promotion_of(self.moves, promotion["to_version"]) or {}
        return {"mlflow_run_id": evidence_of(promotion)["mlflow_run_id"]}

    def opened(self, pack: RegisteredVersion) -> pa.Table:
        """Return a pack's verified manifest, its shards below the store's root.

        Raises:
            CannotRollBack: when the pack is missing, corrupt, or takes other keys, features or classes than
                are declared.
        """
        try:
            manifest = self._manifest(pack)
        except CorruptManifest as error:
            raise CannotRollBack(self.name, f"version {pack.version}: {error}") from error
        if not fits(about(manifest), self.context.workload):
            why = "takes other keys, features or classes than the workload has now, so nothing could be scored"
            raise CannotRollBack(self.name, f"version {pack.version} {why}")
        return manifest

    def _manifest(self, pack: RegisteredVersion) -> pa.Table:
        return incumbents(self.context.store, pack.place, pack.digest)

    def _check_models(self, rows: pa.Table) -> None:
        try:
            for _ in read_models(self.context.store.files, rows):
                pass
        except BadSource as error:
            raise CannotRollBack(self.name, str(error)) from error
