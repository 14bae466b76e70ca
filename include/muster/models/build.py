"""Build the next champion pack: the run's winners and the champion's other models, copied byte for byte."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded
from muster.models.feature_rows import answering_baseline
from muster.models.loading import CorruptModel, check
from muster.models.manifest import MANIFEST, allowed_imports_of, describe, write_manifest
from muster.models.reader import read_manifest
from muster.storage.store import Store
from muster.storage.tables import STRING
from muster.workload.spec import Workload

SHARD = "shard-{:03d}.bin"
LEFT_OVER = 86_400
"""Seconds after which an unfinished folder is taken for one that a killed process left."""


class ModelsMissing(MusterError):
    """Raised when groups were promoted whose models the run did not write."""

    def __init__(self, run: str, groups: list[str]) -> None:
        super().__init__(f"run '{run}' promoted groups that it has no model of: {bounded(groups)}; run train again")


class BadSource(MusterError):
    """Raised when a model to be copied is missing or not the one that was judged."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"the next champion pack cannot be built: {cause}; restore it, or train and evaluate again")


class BuiltPack(NamedTuple):
    """A finished pack."""

    folder: Path
    sha256: str
    """Of its manifest: the pack's digest."""
    groups: int


class _Writer:
    """Write models one after another into shards of at most `limit` bytes (a larger model has one of its own)."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._file: BinaryIO | None = None
        self._offset, self._number = 0, -1

    def add(self, data: bytes) -> tuple[str, int]:
        """Append a model; return its shard's name and its offset."""
        if self._file is None or (self._offset and self._offset + len(data) > self._limit):
            self.close()
            self._number, self._offset = self._number + 1, 0
            self._file = (self._folder / SHARD.format(self._number)).open("wb")
        at = self._offset
        self._file.write(data)
        self._offset += len(data)
        return SHARD.format(self._number), at

    def close(self) -> None:
        """End the last shard, safely on disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def build_pack(
    workload: Workload, store: Store, partition: date, models: pa.Table, winners: pa.Table, champion: pa.Table | None
) -> BuiltPack:
    """Write the pack of `winners` and, for every other group, the `champion`'s model.

    `models` are rows of the table `models` of one run; `winners` has `group`, `algorithm` and `score`; `champion` is
    the champion's manifest with its shards given as paths below the store's root (see `incumbents`). The folder appears
    whole under `champion-<digest>` or not at all; the same inputs give the same bytes, hence the same folder.

    Raises:
        ModelsMissing: when a winner has no row in `models`.
        BadSource: when a model's stored bytes are missing or not those of its digest.
    """
    chosen = _winners(models, winners)
    run = chosen["origin_run"][0].as_py()
    if champion is not None:
        kept = champion.filter(pc.invert(pc.is_in(champion["group"], value_set=chosen["group"].combine_chunks())))
        chosen = pa.concat_tables([chosen, kept.select(chosen.schema.names).replace_schema_metadata(None)])
    return write_pack(workload, store, partition, run, chosen, [] if champion is None else allowed_imports_of(champion))


def write_pack(
    workload: Workload, store: Store, partition: date, run: str, rows: pa.Table, carried: Sequence[str]
) -> BuiltPack:
    """Write the pack of `rows` of manifests, whose shards are given as paths below the store's root.

    `carried` is what models may name that come of other packs: `allowed_imports_of` their manifests.

    The folder appears whole under `champion-<digest>` or not at all; the same rows give the same bytes.

    Raises:
        BadSource: when a model's stored bytes are missing or not those of its digest.
    """
    chosen = rows.sort_by([("bucket", "ascending"), ("group", "ascending")])
    packs = Path(store.packs())
    _sweep(packs)
    part = packs / f".champion-{uuid.uuid4().hex}.part"
    part.mkdir(parents=True)
    try:
        rows = _copy(Path(store.root), chosen, part, workload.pack.shard_bytes)
        description = describe(workload, rows, partition, run, carried, answering_baseline(workload, store))
        digest = write_manifest(part, rows, description)
        return BuiltPack(_publish(part, pack_folder(store, digest), digest), digest, rows.num_rows)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def pack_folder(store: Store, digest: str) -> Path:
    """Return the folder of the pack whose manifest has this digest."""
    return Path(store.packs()) / f"champion-{digest[:12]}"


def _sweep(packs: Path) -> None:
    """Remove what processes that were killed while building or logging a pack have left."""
    for folder in [*packs.glob(".champion-*"), *packs.glob(".bundle-*")]:
        if time.time() - folder.stat().st_mtime > LEFT_OVER:
            shutil.rmtree(folder, ignore_errors=True)


def incumbents(store: Store, folder: Path, sha256: str) -> pa.Table:
    """Return the verified manifest of the pack in `folder`, its shards as paths below the store's root."""
    manifest = read_manifest(folder, sha256)
    below = folder.relative_to(store.root).as_posix()
    paths = pa.array([f"{below}/{name}" for name in manifest["shard"].to_pylist()], STRING)
    manifest = manifest.set_column(manifest.schema.get_field_index("shard"), "shard", paths)
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


def _copy(root: Path, rows: pa.Table, folder: Path, limit: int) -> pa.Table:
    """Copy the models of `rows` into shards under `folder`; return the rows with their new places."""
    writer = _Writer(folder, limit)
    try:
        places = [writer.add(data) for data in read_models(root, rows)]
    finally:
        writer.close()
    moved = {"shard": [shard for shard, _ in places], "offset": [offset for _, offset in places]}
    for name, column in moved.items():
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(column, rows.schema.field(index).type))
    return rows


def read_models(root: Path, rows: pa.Table) -> Iterator[bytes]:
    """Yield the stored bytes of each row's model, checked but never deserialised.

    Raises:
        BadSource: when they are missing or not those of their digest.
    """
    wanted = rows.select(["group", "shard", "offset", "length", "sha256"])
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for group, shard, offset, length, sha256 in zip(*(column.to_pylist() for column in wanted), strict=True):
            try:
                if shard not in files:
                    files[shard] = stack.enter_context(_below(root, shard).open("rb"))
                files[shard].seek(offset)
                data = files[shard].read(length)
                check(data, sha256, group, shard)
            except (OSError, CorruptModel) as error:
                raise BadSource(error) from error
            yield data


def _below(root: Path, shard: str) -> Path:
    path = (root / shard).resolve()
    if not path.is_relative_to(root.resolve()):
        raise FileNotFoundError(f"the shard '{shard}' is not below the store '{root}'")
    return path


def _publish(part: Path, folder: Path, digest: str) -> Path:
    """Give a finished folder its name; a pack that is there already holds the same."""
    try:
        part.replace(folder)
    except OSError:
        read_manifest(folder, digest)
    return folder
