"""A manifest as the rows that it changes, over those of earlier manifests: what a promotion writes is what it changes.

Layers are merged as they grow, as in a log-structured merge-tree (O'Neil and others 1996): a row is written again once
for each doubling of what came after it, so there are as many layers as doublings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.models.manifest_reader import BESIDE, MANIFEST_FILE, Layer, about, merged, read_layers
from muster.storage.store import Store


class PackAt(NamedTuple):
    """Where a pack is."""

    folder: str
    """Below the store's root."""
    sha256: str


class Written(NamedTuple):
    """What the next manifest writes down."""

    rows: pa.Table
    under: Sequence[tuple[str, str]] = ()
    """The manifests below it, the newest first: their paths below the root, and their sha256."""
    dropped: Sequence[str] = ()
    """Groups that these have a model of, and the pack has none."""


def over(store: Store, base: PackAt | None, rows: pa.Table) -> Written:
    """Return what to write so that the manifest has `rows` in all, the base's layers being there.

    Raises:
        CorruptManifest: when a layer is not there, or another than it was.
    """
    if base is None:
        return Written(rows)
    layers = read_layers(store.files, f"{base.folder}/{MANIFEST_FILE}", base.sha256)
    if any(about(layer.rows)["format"] <= BESIDE for layer in layers):
        return Written(rows)
    there = merged(layers)
    unchanged = rows["group"].filter(_same(rows, there))
    own = rows.filter(pc.invert(pc.is_in(rows["group"], unchanged.combine_chunks())))
    for number in range(len(layers)):
        live = _live(layers[: number + 1], unchanged)
        if live.num_rows > own.num_rows:
            under = layers[number:]
            return Written(own, [(below.path, below.sha256) for below in under], _gone(under, rows))
        own = pa.concat_tables([own, live.select(own.column_names).replace_schema_metadata(None)])
    return Written(rows)


def _same(rows: pa.Table, there: pa.Table) -> pa.ChunkedArray:
    """Tell which rows are in another manifest just so."""
    place = pc.index_in(rows["group"], there["group"].combine_chunks())
    same = pc.is_valid(place)
    known = there.take(pc.fill_null(place, 0)) if there.num_rows else there
    for name in rows.column_names if there.num_rows else ():
        if name not in there.column_names:
            return pa.chunked_array([pa.repeat(False, rows.num_rows)])
        equal = pc.fill_null(pc.equal(rows[name], known[name]), False)
        same = pc.and_(same, pc.or_(equal, pc.and_(pc.is_null(rows[name]), pc.is_null(known[name]))))
    return same


def _live(layers: Sequence[Layer], unchanged: pa.ChunkedArray) -> pa.Table:
    """Return the rows of the last of some layers that none above it has, and that stay."""
    *above, layer = layers
    rows = layer.rows.filter(pc.is_in(layer.rows["group"], unchanged.combine_chunks()))
    for other in above:
        rows = rows.filter(pc.invert(pc.is_in(rows["group"], other.rows["group"].combine_chunks())))
    return rows


def _gone(layers: Sequence[Layer], rows: pa.Table) -> list[str]:
    groups = pa.chunked_array([chunk for layer in layers for chunk in layer.rows["group"].chunks]).unique()
    return sorted(groups.filter(pc.invert(pc.is_in(groups, rows["group"].combine_chunks()))).to_pylist())
