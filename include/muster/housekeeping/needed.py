"""Which files of the store champions and candidates need: found out by the journal, the aliases and the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from muster.champions.alias import at_alias
from muster.champions.errors import JournalGone
from muster.champions.journal import Journal, Row
from muster.champions.kept_moves import digests_of, kept_moves, shards_of
from muster.champions.lineage import last_row_of
from muster.champions.units import Unit, is_pack
from muster.champions.unrecorded import check_all_recorded, check_begun, units_with_alias
from muster.champions.versions import described, vouched
from muster.context import Context
from muster.errors import MusterError
from muster.housekeeping.inventory import Inventory
from muster.housekeeping.kept_runs import KeptRuns, kept_runs
from muster.models.build import files_of, pack_folder
from muster.models.manifest_reader import MANIFEST_FILE, CorruptManifest, why_removed
from muster.storage.delta import dataset

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class NothingRemoved(MusterError):
    """Raised when it cannot be told what a champion needs: whatever is removed then might be of it."""

    def __init__(self, workload: str, why: object) -> None:
        super().__init__(
            f"{workload}: nothing was removed, since a pack that stays cannot be read, so that nobody knows which "
            f"models it needs: {why}"
        )


@dataclass(frozen=True)
class Needed:
    """What stays, however old."""

    files: frozenset[str]
    """Paths below the store's root: manifests and shards."""
    runs: KeptRuns


def needed(context: Context, inventory: Inventory) -> Needed:
    """Find out what stays: by the tables first, then by the journal, so that what is promoted meanwhile is in either.

    Some calls of MLflow: one for a pack, for groups' own models two searches of a call a thousand.

    Raises:
        JournalGone, NotVouched: when there are champions that the journal has no move of.
        NothingRemoved: when the manifest of a pack that stays is missing or corrupt.
    """
    keep, store = context.workload.housekeeping.keep, context.store
    before = Journal(store)
    runs = kept_runs(context, inventory, before, keep)
    pack, groups = _alias_of_pack(context, before), _aliases_of_groups(context, before)
    journal = Journal(store)  # after the aliases: a move is written down before it is made
    check_begun(store, journal)
    of_pack, of_groups = _of_pack(context, journal, keep, pack), _of_groups(journal, keep, groups)
    champion = last_row_of(journal.of_group(None), None if pack is None else str(pack.version))
    packs = _pack_files(context, digests_of(of_pack), None if champion is None else champion["manifest_sha256"])
    return Needed(packs | shards_of(of_groups) | _unnamed_shards(context, of_groups) | runs.shards, runs)


def _unit(context: Context) -> Unit:
    return Unit(context.workload.name, context.workload.name)


def _alias_of_pack(context: Context, journal: Journal) -> ModelVersion | None:
    return at_alias(_unit(context)) if is_pack(context.workload) or journal.of_group(None) else None


def _aliases_of_groups(context: Context, journal: Journal) -> dict[str | None, str]:
    """Return where the aliases of groups' own models are."""
    if is_pack(context.workload) and not journal.groups:
        return {}
    check_all_recorded(context.store, journal)
    return {unit.group: version for unit, version in units_with_alias(context.workload.name, journal.groups).items()}


def _of_pack(context: Context, journal: Journal, keep: int, registered: ModelVersion | None) -> list[Row]:
    """Return the moves of the pack whose champions stay; that which its alias is at now is one, whoever moved it."""
    unit, moves = _unit(context), journal.of_group(None)
    kept = kept_moves(moves, keep)
    if registered is None:
        return kept
    if not moves:
        raise JournalGone.shown(unit.workload, unit.name, str(registered.version))
    row = last_row_of(moves, str(registered.version))
    vouched(described(unit, registered), row, context.store)
    return kept if row is None else [*kept, row]


def _of_groups(journal: Journal, keep: int, at: Mapping[str | None, str]) -> list[Row]:
    """Return the moves of groups' own models that stay; those that their aliases are at now are among them."""
    kept: list[Row] = []
    for group in journal.groups:
        moves = journal.of_group(group)
        kept += kept_moves(moves, keep)
        if (row := last_row_of(moves, at.get(group))) is not None:
            kept.append(row)
    return kept


def _pack_files(context: Context, digests: Iterable[str], champion: str | None) -> frozenset[str]:
    """Return all files of the packs; one that an earlier housekeeping has removed, by another `keep`, needs none.

    Not the champion's: that was put back since, if there is word of such.
    """
    files: set[str] = set()
    for digest in digests:
        try:
            files |= files_of(context.store, digest)
        except CorruptManifest as error:
            place = f"{pack_folder(context.store, digest)}/{MANIFEST_FILE}"
            gone = context.store.files.about(place) is None and why_removed(context.store.files, place)
            if gone and digest != champion:
                continue
            raise NothingRemoved(context.workload.name, error) from error
    return frozenset(files)


def _unnamed_shards(context: Context, moves: Collection[Row]) -> frozenset[str]:
    """Return the shards of models whose moves do not say where they are, as an older Muster's: `models` does."""
    digests = {move["manifest_sha256"] for move in moves if move["manifest_sha256"] and not shards_of([move])}
    delta = context.store.open("models") if digests else None
    if delta is None:
        return frozenset()
    rows = dataset(delta).to_table(columns=["shard"], filter=pc.field("sha256").isin(sorted(digests)))
    return frozenset(rows["shard"].unique().to_pylist())
