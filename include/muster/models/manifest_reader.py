"""Read a pack's manifest, verified first. Imports nothing of Muster: it ships with every pack."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MANIFEST_FILE = "manifest.parquet"
ABOUT = b"muster"
"""Key of the manifest's schema metadata under which its JSON stands."""
FORMAT = 3
"""Shards are paths below the root of the pack's files; in `BESIDE` files beside the manifest."""
BESIDE = 2

REMOVED = "removed.json"
"""The file that housekeeping leaves in the folder of a pack, or of a run, whose files it has removed."""

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


class Layer(NamedTuple):
    """A manifest by itself, of which others may be written over."""

    path: str
    """Below the root of its files."""
    sha256: str
    rows: pa.Table


def read_manifest(files: Manifests, folder: str, sha256: str, below: Manifests | None = None) -> pa.Table:
    """Return the manifest of the pack in a folder below the root of `files`, after checking its digest.

    It is sorted by bucket and group, and its shards are paths below the root. One that was written over others has
    their rows too: it holds their digests, so its own vouches for all. They are among `below`, where that is given.

    Raises:
        CorruptManifest: when it, or one below it, is not there, or the digest or the format is another.
        OSError: when the store does not give it.
    """
    return merged(read_layers(files, "/".join(filter(None, [folder, MANIFEST_FILE])), sha256, below))


def read_layers(files: Manifests, path: str, sha256: str, below: Manifests | None = None) -> list[Layer]:
    """Return a manifest, verified, and those that it is written over, the newest first.

    Raises:
        CorruptManifest: when one is not there, or the digest or the format is another.
        OSError: when the store does not give one.
    """
    first = _read(files, path, sha256)
    return [first, *(_read(below or files, *under) for under in about(first.rows).get("under", ()))]


def merged(layers: Sequence[Layer]) -> pa.Table:
    """Return the rows of a manifest and of those below it: of each group the newest."""
    first, *under = layers
    if not under:
        return first.rows
    rows = [first.rows]
    seen = [first.rows["group"].combine_chunks(), pa.array(about(first.rows)["dropped"], pa.string())]
    for layer in under:
        rows.append(layer.rows.filter(pc.invert(pc.is_in(layer.rows["group"], pa.concat_arrays(seen)))))
        seen.append(layer.rows["group"].combine_chunks())
    every = pa.concat_tables([table.replace_schema_metadata(None) for table in rows], promote_options="default")
    ordered = every.sort_by([("bucket", "ascending"), ("group", "ascending")])
    return ordered.replace_schema_metadata(first.rows.schema.metadata)


def _read(files: Manifests, path: str, sha256: str) -> Layer:
    place = f"{files.root}/{path}"
    try:
        data = files.read(path)
    except FileNotFoundError as error:
        raise CorruptManifest(place, f"is not there{why_removed(files, path)}") from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise CorruptManifest(place, f"has sha256 {actual[:12]}..., expected was {sha256[:12]}...")
    table = pq.read_table(io.BytesIO(data))
    version = about(table)["format"]
    if version == BESIDE:
        folder = path.rpartition("/")[0]
        shards = [f"{folder}/{_plain(place, name)}" for name in table["shard"].to_pylist()]
        return Layer(path, sha256, _with_shards(table, shards))
    if version != FORMAT:
        raise CorruptManifest(place, f"is of format {version}, this reader knows format {FORMAT}")
    return Layer(path, sha256, table)


def why_removed(files: Manifests, path: str) -> str:
    """Return in words that housekeeping has removed a file that is not there; nothing where it has not."""
    try:
        noted = json.loads(files.read(f"{path.rpartition('/')[0]}/{REMOVED}"))
        return f": housekeeping removed it on {noted['at'][:10]}, {noted['why']}"
    except (OSError, ValueError, KeyError):
        return ""


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
