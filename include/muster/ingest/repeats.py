"""Rows of a day that share their `unique` values: one of identical rows is kept, of contradicting ones none."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster.workload.spec import Workload

REPEATS = "repeats a row"
"""Nothing is lost by a row that is refused for this reason."""


def repeats(workload: Workload, observed: pa.ChunkedArray, reason: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the rows' reasons with those of repeated rows: only good rows are compared.

    `observed` has the columns of `observations`. Rows come in the order of their file: the first is kept. Where each
    row is an observation of its own, none is looked for.
    """
    if not workload.unique:
        return reason
    row_id = pc.if_else(reason.is_null(), pc.struct_field(observed, "row_id"), pa.scalar(None, pa.string()))
    encoded = row_id.dictionary_encode().unify_dictionaries()  # by block: all ids of a day may be too many for one
    numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32()).combine_chunks()
    good = numbers.is_valid().to_numpy(zero_copy_only=False)
    known = numbers.drop_null().to_numpy()
    shared = np.zeros(len(reason), dtype=bool)
    shared[good] = np.bincount(known)[known] > 1
    if not shared.any():
        return reason
    alike = defaultdict(list)
    for number, row in zip(np.flatnonzero(shared).tolist(), observed.filter(shared).to_pylist(), strict=True):
        alike[row["row_id"]].append((number, row))
    differ = f"another row has the same {', '.join(workload.unique)}, not the same values"
    refused: dict[int, str] = {}
    for rows in alike.values():
        first = rows[0][1]
        if any(row != first for _, row in rows):
            refused |= {number: differ for number, _ in rows}
        else:
            refused |= {number: REPEATS for number, _ in rows[1:]}
    mask = np.zeros(len(reason), dtype=bool)
    mask[list(refused)] = True
    ordered = pa.array([refused[number] for number in sorted(refused)], pa.string())
    return pa.chunked_array([pc.replace_with_mask(reason.combine_chunks(), pa.array(mask), ordered)])
