"""Rows' ids: by the columns of `unique`, or of rows that are observations of their own by their place or values."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from muster.ingest.names import field, names, text
from muster.ingest.sources.kind import RowBlock
from muster.storage.tables import STRING
from muster.workload.spec import Workload


def row_ids(
    workload: Workload,
    blocks: Sequence[RowBlock],
    typed: Sequence[Mapping[str, pa.Array]],
    reasons: Sequence[pa.Array],
) -> list[pa.Array]:
    """Return the ids of a day's rows, block by block.

    By `unique: row` it is of a file `2024-01-08.csv.gz#17`: its name, and the row's number in it. Where rows have no
    order, it is a digest of the declared values and, among equal rows, a running number: whichever of them gets which,
    the ids of a day are the same. Only good rows are counted then, and a refused one has no id.
    """
    if workload.unique:
        return [names([values[name] for name in workload.unique]) for values in typed]
    seen = Counter[bytes]()
    ids = []
    for block, values, reason in zip(blocks, typed, reasons, strict=True):
        if block.numbers is not None:
            ids.append(pc.binary_join_element_wise(block.file or "", block.numbers.cast(STRING), "#"))
        else:
            ids.append(_by_digest(values, reason, seen))
    return ids


def _by_digest(typed: Mapping[str, pa.Array], reason: pa.Array, seen: Counter[bytes]) -> pa.Array:
    good = reason.is_null()
    numbered = pa.array(_numbered({name: values.filter(good) for name, values in typed.items()}, seen), STRING)
    return pc.replace_with_mask(pa.nulls(len(reason), STRING), good, numbered)


def _numbered(typed: Mapping[str, pa.Array], seen: Counter[bytes]) -> Iterator[str]:
    """Yield each row's digest and number. A column without a value is left out: a new one changes no row of before."""
    parts = [pc.binary_join_element_wise(name, _field(typed[name]), "=") for name in sorted(typed)]
    for row in pc.binary_join_element_wise(*parts, ",", null_handling="skip").to_pylist():
        digest = hashlib.blake2b(row.encode(), digest_size=16).digest()
        seen[digest] += 1
        yield f"{digest.hex()}#{seen[digest]}"


def _field(values: pa.Array) -> pa.Array:
    return field(values) if pa.types.is_string(values.type) else text(values)  # no other text has to be quoted
