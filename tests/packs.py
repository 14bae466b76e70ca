"""Packs as tests open them: by their folder below a store's root, and the digest of their manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from muster.models.manifest_reader import read_manifest
from muster.models.reader import Pack
from muster.storage.store import Store


def manifest_of(store: Store, folder: str, digest: str) -> pa.Table:
    """Return the verified manifest of the pack in a folder below the store's root."""
    return read_manifest(store.files, folder, digest)


def pack_of(store: Store, folder: str, digest: str, **options: Any) -> Pack:
    """Open the pack in a folder below the store's root."""
    return Pack(store.files, manifest_of(store, folder, digest), **options)


def shards_of(store: Store, folder: str, digest: str) -> list[Path]:
    """Return the files that a pack's models are in."""
    names = manifest_of(store, folder, digest)["shard"].unique().to_pylist()
    return [Path(store.uri(name)) for name in sorted(names)]
