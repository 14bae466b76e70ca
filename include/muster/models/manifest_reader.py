"""Read a pack's manifest, verified first. Imports nothing of Muster: it ships with every pack."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST_FILE = "manifest.parquet"
ABOUT = b"muster"
"""Key of the manifest's schema metadata under which its JSON stands."""
FORMAT = 3
"""Shards are paths below the root of the pack's files; in `BESIDE` files beside the manifest."""
BESIDE = 2

PACKED = "models.bin"
"""The file of all models of a pack, in the order of its manifest: a pack that needs no other files."""


class CorruptManifest(Exception):
    """Raised when a pack's manifest is not the one that was registered, or of another format."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"the manifest '{path}' {problem}; no model of it is loaded: restore the pack or roll back")


class Manifests(Protocol):
    """The files that packs are among: `Files`."""

    @property
    def root(self) -> str:
        """Where they are."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""


def read_manifest(files: Manifests, folder: str, sha256: str) -> pa.Table:
    """Return the manifest of the pack in a folder below the root of `files`, after checking its digest.

    It is sorted by bucket and group, and its shards are paths below the root.

    Raises:
        CorruptManifest: when it is not there, or the digest or the format is another.
        OSError: when the store does not give it.
    """
    place = "/".join(filter(None, [folder, MANIFEST_FILE]))
    path = f"{files.root}/{place}"
    try:
        data = files.read(place)
    except FileNotFoundError as error:
        raise CorruptManifest(path, "is not there") from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise CorruptManifest(path, f"has sha256 {actual[:12]}..., expected was {sha256[:12]}...")
    table = pq.read_table(io.BytesIO(data))
    version = about(table)["format"]
    if version == BESIDE:
        return _with_shards(table, [f"{folder}/{_plain(path, name)}" for name in table["shard"].to_pylist()])
    if version != FORMAT:
        raise CorruptManifest(path, f"is of format {version}, this reader knows format {FORMAT}")
    return table


def _plain(path: str, shard: str) -> str:
    if "/" in shard or shard in ("", ".", ".."):
        raise CorruptManifest(path, f"names the shard '{shard}', which is no plain file name")
    return shard


def _with_shards(manifest: pa.Table, shards: Sequence[str]) -> pa.Table:
    column = manifest.schema.get_field_index("shard")
    return manifest.set_column(column, manifest.field(column), pa.array(shards, pa.string()))


def packed(manifest: pa.Table) -> pa.Table:
    """Return a manifest whose models are one after another in `PACKED`, in its order."""
    ends = np.cumsum(manifest["length"].to_numpy())
    offsets = pa.array(ends - manifest["length"].to_numpy(), pa.int64())
    placed = _with_shards(manifest, [PACKED] * manifest.num_rows)
    column = placed.schema.get_field_index("offset")
    return placed.set_column(column, placed.field(column), offsets)


def about(manifest: pa.Table) -> dict[str, Any]:
    """Return what a manifest says of its pack: workload, keys, features, fallback, baseline, prior, ..."""
    described: dict[str, Any] = json.loads(manifest.schema.metadata[ABOUT])
    return described
