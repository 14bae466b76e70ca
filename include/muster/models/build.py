"""Build the next champion pack: copies of the run's winners; the champion's other models stay where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded
from muster.models.feature_rows import answering_baseline
from muster.models.layers import PackAt, over
from muster.models.loading import CorruptModel, check
from muster.models.manifest import MANIFEST, allowed_imports_of, describe, manifest_bytes
from muster.models.manifest_reader import (
    MANIFEST_FILE,
    CorruptManifest,
    merged,
    read_layers,
    read_manifest,
    why_removed,
)
from muster.models.shards import ShardWriter
from muster.models.stored import Place, StoredModels
from muster.storage.files import Files
from muster.storage.staying import write_to_stay
from muster.storage.store import Store
from muster.workload.spec import Workload

SHARDS = "shards"
"""The folder of what champions' models are in, beside the packs."""

TOGETHER = 128
"""Models that are read in one request a shard."""


class ModelsMissing(MusterError):
    """Raised when groups were promoted whose models the run did not write."""

    def __init__(self, run: str, groups: list[str]) -> None:
        super().__init__(f"run '{run}' promoted groups that it has no model of: {bounded(groups)}; run train again")


class BadSource(MusterError):
    """Raised when a model to be copied is missing or not the one that was judged."""

    def __init__(self, cause: Exception, why: str = "") -> None:
        again = "restore it, or train and evaluate again"
        super().__init__(f"the next champion pack cannot be built: {cause}{why}; {again}")


class BuiltPack(NamedTuple):
    """A finished pack."""

    folder: str
    """Below the store's root."""
    sha256: str
    """Of its manifest: the pack's digest."""
    groups: int


def build_pack(
    workload: Workload,
    store: Store,
    partition: date,
    models: pa.Table,
    winners: pa.Table,
    champion: pa.Table | None,
    base: PackAt | None = None,
) -> BuiltPack:
    """Write the pack of `winners` and, for every other group, the `champion`'s model.

    `models` are rows of the table `models` of one run; `winners` has `group`, `algorithm` and `score`; `champion` is
    the champion's manifest (see `incumbents`), whose models stay where they are: none of them is read. The same inputs
    give the same bytes, hence the same folder.

    Raises:
        ModelsMissing: when a winner has no row in `models`.
        BadSource: when a model's stored bytes are missing or not those of its digest.
    """
    chosen = _copied(store, _winners(models, winners), workload.pack.shard_bytes)
    run = chosen["origin_run"][0].as_py()
    if champion is not None:
        kept = champion.filter(pc.invert(pc.is_in(champion["group"], value_set=chosen["group"].combine_chunks())))
        chosen = pa.concat_tables([chosen, kept.select(chosen.schema.names).replace_schema_metadata(None)])
    carried = [] if champion is None else allowed_imports_of(champion)
    return write_pack(workload, store, partition, run, chosen, carried, base)


def write_pack(
    workload: Workload,
    store: Store,
    partition: date,
    run: str,
    rows: pa.Table,
    carried: Sequence[str],
    base: PackAt | None = None,
) -> BuiltPack:
    """Write the pack of `rows` of manifests: their models stay where they are, below the store's root.

    `carried` is what models may name that come of other packs: `allowed_imports_of` their manifests. The manifest of a
    pack that is too large for MLflow is written over that of `base`, whose layers stay where they are.

    A pack is there when its manifest is, in a folder that is named by its digest; the same rows over the same base give
    the same bytes.

    Raises:
        CorruptManifest: when another manifest is there, under this one's name.
    """
    chosen = rows.sort_by([("bucket", "ascending"), ("group", "ascending")])
    description = describe(workload, chosen, partition, run, carried, answering_baseline(workload, store))
    written = over(store, None if description["packed"] else base, chosen)
    if written.under:
        description |= {"under": written.under, "dropped": written.dropped}
    data, digest = manifest_bytes(written.rows, description)
    pack = BuiltPack(pack_folder(store, digest), digest, chosen.num_rows)
    _publish(store, pack, data)
    return pack


def _publish(store: Store, pack: BuiltPack, data: bytes) -> None:
    """Write a manifest, unless it is there and young: an old one is written anew, so that nobody sweeps it."""
    path = f"{pack.folder}/{MANIFEST_FILE}"
    if not store.files.create(path, data):
        try:
            read_manifest(store.files, pack.folder, pack.sha256)
        except CorruptManifest:
            if store.files.about(path) is not None:  # else it is swept in this moment
                raise
    write_to_stay(store.files, path, data)


def pack_folder(store: Store, digest: str) -> str:
    """Return the folder of the pack whose manifest has this digest, below the store's root."""
    return f"{store.packs}/champion-{digest[:12]}"


def files_of(store: Store, digest: str) -> frozenset[str]:
    """Return the paths of all files of the pack of a digest: its manifest, those below it, the shards that any names.

    So whichever manifest stays, all its models do.

    Raises:
        CorruptManifest: when a manifest is not there, or another than it was.
    """
    layers = read_layers(store.files, f"{pack_folder(store, digest)}/{MANIFEST_FILE}", digest)
    return frozenset({layer.path for layer in layers}.union(*(layer.rows["shard"].to_pylist() for layer in layers)))


def missing_of(store: Store, digest: str) -> list[str]:
    """Return the files that the pack of a digest needs and that are not there."""
    path = f"{pack_folder(store, digest)}/{MANIFEST_FILE}"
    try:
        needed = merged(read_layers(store.files, path, digest))["shard"].unique().to_pylist()
    except CorruptManifest:
        return [path]
    return [shard for shard in needed if store.files.about(shard) is None]


def incumbents(store: Store, folder: str, sha256: str) -> pa.Table:
    """Return the verified manifest of the pack in `folder`, with the columns that today's have."""
    manifest = read_manifest(store.files, folder, sha256)
    for field in MANIFEST:
        if field.name not in manifest.schema.names:  # a pack of an older Muster
            manifest = manifest.append_column(field, pa.nulls(manifest.num_rows, field.type))
    return manifest


def _winners(models: pa.Table, winners: pa.Table) -> pa.Table:
    """Return manifest rows of the winners, their shards still where the run wrote them."""
    chosen = ["group", "algorithm"]
    won, stored = (set(zip(*(rows[name].to_pylist() for name in chosen), strict=True)) for rows in (winners, models))
    if won - stored:
        missing = sorted(group for group, _ in won - stored)
        raise ModelsMissing(str(models["run"][0].as_py()) if models.num_rows else "", missing)
    rows = models.join(winners.select([*chosen, "score"]), chosen, join_type="inner")
    rows = rows.rename_columns({"run": "origin_run", "partition": "origin_partition"})
    return rows.select(MANIFEST.names).cast(MANIFEST)


def _copied(store: Store, rows: pa.Table, limit: int) -> pa.Table:
    """Copy the models of `rows` into shards of at most `limit` bytes (a larger model has one of its own).

    So what a run has written and nobody promoted can go. The rows are returned with their new places.
    """
    rows = rows.sort_by([("bucket", "ascending"), ("group", "ascending")])
    lengths, models = rows["length"].to_pylist(), read_models(store.files, rows)
    shards: list[str | None] = []
    offsets: list[int] = []
    while len(offsets) < len(lengths):
        start = len(offsets)
        with ShardWriter(store.files, f"{store.packs}/{SHARDS}") as shard:
            while len(offsets) < len(lengths) and (not shard.length or shard.length + lengths[len(offsets)] <= limit):
                offsets.append(shard.add(next(models)).offset)
        shards += [shard.path] * (len(offsets) - start)
    for name, column in {"shard": shards, "offset": offsets}.items():
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(column, rows.schema.field(index).type))
    return rows


def read_models(files: Files, rows: pa.Table) -> Iterator[bytes]:
    """Yield the stored bytes of each row's model, checked but never deserialised.

    Raises:
        BadSource: when they are missing or not those of their digest.
        OSError: when the store does not give them.
    """
    stored = StoredModels(files)
    columns = [rows[name].to_pylist() for name in ("group", "sha256", *Place._fields)]
    wanted = [(group, sha256, Place(*place)) for group, sha256, *place in zip(*columns, strict=True)]
    for start in range(0, len(wanted), TOGETHER):
        together = wanted[start : start + TOGETHER]
        stored.fetch(place for _, _, place in together)
        for group, sha256, place in together:
            try:
                data = stored.read(place)
                check(data, sha256, group, place.shard)
            except (FileNotFoundError, CorruptModel) as error:
                raise BadSource(error, why_removed(files, place.shard)) from error
            yield data
