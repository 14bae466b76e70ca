"""The champion of one group as the store and its journal tell of it: MLflow is not asked."""

from __future__ import annotations

import pyarrow as pa

from muster.champions.as_of import AsOf
from muster.champions.errors import BadChampion
from muster.champions.journal import Journal, Row, evidence_of
from muster.champions.lineage import newest_ancestor
from muster.champions.opened import OpenPack, verified_manifest
from muster.champions.units import is_pack
from muster.champions.unrecorded import check_begun
from muster.champions.versions import fits_today
from muster.context import PartitionContext
from muster.evaluation.bucket import Incumbents
from muster.models.build import pack_folder
from muster.models.manifest import MANIFEST, fits
from muster.models.manifest_reader import CorruptManifest, about

PLACE = ("shard", "offset", "length")
"""Where a group's model is below the store's root: in its row of `models`, and in the evidence of its move."""


def champion_in_store(context: PartitionContext, group: str) -> Incumbents | None:
    """Return whom `evaluate` would judge the group's candidate against, or None where there is no champion.

    By the journal, which knows every move but one made by hand, or one that was begun this moment.

    Raises:
        BadChampion: when its pack is not the one that was registered.
        JournalGone: when somebody was promoted and the journal has no move at all.
    """
    row = _row(context, None if is_pack(context.workload) else group)
    if row is None:
        return None
    return _of_pack(context, row, group) if row["group"] is None else _of_group(context, row)


def _row(context: PartitionContext, group: str | None) -> Row | None:
    """Return the move that made the champion: of an earlier partition, as in `champions.opened.opponents`."""
    journal = Journal(context.store)
    check_begun(context.store, journal)
    moves = journal.of_group(group)
    if not moves:
        return None
    return newest_ancestor(moves, moves[-1]["to_version"], AsOf(context.partition, including=False).old_enough)


def _of_pack(context: PartitionContext, row: Row, group: str) -> Incumbents:
    digest, version = row["manifest_sha256"], row["to_version"]
    folder = pack_folder(context.store, digest)
    try:
        suits = fits(about(verified_manifest(context.store.files, folder, digest)), context.workload)
        return OpenPack(context.store.files, folder, digest, version, fits=suits).incumbents(pa.array([group]))
    except CorruptManifest as error:
        raise BadChampion(version, error) from error


def _of_group(context: PartitionContext, row: Row) -> Incumbents | None:
    """Return the group's own model, where its run has left it; None where it takes other keys or features."""
    evidence = evidence_of(row)
    if not fits_today(context.workload, evidence):
        return None
    stored = {"group": row["group"], "origin_run": row["run"], "sha256": row["manifest_sha256"]}
    stored |= {name: evidence.get(name) for name in PLACE}
    if stored["shard"] is None:  # journalled before moves said where their models are
        return None
    manifest = pa.Table.from_pylist([dict.fromkeys(MANIFEST.names) | stored], MANIFEST)
    names, versions = tuple(evidence.get("loads", ())), {row["group"]: row["to_version"]}
    return Incumbents(None, context.store.files, manifest, names, versions)
