"""The rows of one group from the landed files, checked as ingest checks them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import Context
from muster.ingest.refusals import check_refused, surely_taken
from muster.ingest.row_checks import (
    check_rows,
    checked_schema,
    good_rows,
    group_names,
    own_reasons,
    typed_columns,
)
from muster.ingest.sources.kind import Arrival, RowBlock
from muster.ingest.sources.kinds import source_of
from muster.trial.group_keys import key_values
from muster.workload.spec import Workload

Typed = Mapping[str, pa.Array]
"""The declared columns of a block as values of their types."""


@dataclass(frozen=True)
class LandedGroup:
    """The rows of one group as landed."""

    rows: pa.Table
    """The good ones, with the columns of `observations`."""
    refused: Mapping[str, int]
    """How many others, by reason."""


def landed_group(context: Context, arrived: Mapping[date, Arrival], group: str) -> LandedGroup:
    """Read what has arrived for days, and check the rows of one group.

    Raises:
        BadFile: for a file that is cut off, empty, or has other columns.
        TooManyRefused: as ingest does, for days of which it takes none.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decompressing and parsing run outside Python's lock
        of_days = list(pool.map(lambda arrival: _of_day(context, arrival, group), arrived.values()))
    reasons = {day: counted for day, (_, counted) in zip(arrived, of_days, strict=True) if counted is not None}
    check_refused(context.workload, reasons)
    checked = pa.concat_tables([checked_schema(context.workload).empty_table(), *(rows for rows, _ in of_days)])
    refused = Counter(checked["reason"].drop_null().to_pylist())
    return LandedGroup(good_rows(context.workload, checked), refused)


def landed_groups(context: Context, arrived: Iterable[Arrival]) -> set[str]:
    """Return all groups of what has arrived for days."""
    workload, known = context.workload, set[str]()
    for arrival in arrived:
        for block in source_of(context).read(arrival):
            known |= set(group_names(workload, block.rows).unique().drop_null().to_pylist())
    return known


def _of_day(context: Context, arrival: Arrival, group: str) -> tuple[pa.Table, Counter[str | None] | None]:
    """Return the group's rows of a day, checked; and all rows by reason, where it might be too many that are refused.

    Names and ids cost most of a check. So they are made for a few rows only, where that is enough to know.
    """
    workload, day, source = context.workload, arrival.day, source_of(context)
    own = source.read_group(arrival, key_values(workload, group))
    if own is not None:  # of the others nobody asks: how many of them ingest refuses is not seen here
        checked = check_rows(workload, day, own)
        return checked.filter(pc.equal(pc.struct_field(checked["observation"], "group"), group)), None
    blocks = list(source.read(arrival))
    typed = [typed_columns(workload, block.rows) for block in blocks]
    if _surely_taken(workload, day, blocks, typed):
        checked, reasons = check_rows(workload, day, _concerning(workload, group, blocks, typed)), None
    else:
        checked = check_rows(workload, day, blocks)
        reasons = Counter(checked["reason"].to_pylist())
    return checked.filter(pc.equal(pc.struct_field(checked["observation"], "group"), group)), reasons


def _surely_taken(workload: Workload, day: date, blocks: Sequence[RowBlock], typed: Sequence[Typed]) -> bool:
    """Tell from the rows' own reasons, and from how many ids there are, that ingest takes the day."""
    ids, good = [], 0
    for block, columns in zip(blocks, typed, strict=True):
        mask = own_reasons(workload, day, block.rows, columns).is_null()
        if workload.unique:
            ids.append(pa.table({name: columns[name] for name in workload.unique}).filter(mask))
        good += mask.true_count
    rows = sum(block.rows.num_rows + len(block.misfits) for block in blocks)
    different = good
    if workload.unique and good:
        different = pa.concat_tables(ids).group_by(list(workload.unique)).aggregate([]).num_rows
    return surely_taken(workload, rows, rows - good, good - different)


def _concerning(workload: Workload, group: str, blocks: Sequence[RowBlock], typed: Sequence[Typed]) -> list[RowBlock]:
    """Return the group's rows, and every other row of the day that may share the `unique` values of one of them."""
    keys = key_values(workload, group)
    own = [_all([pc.equal(columns[key], value) for key, value in keys.items()]) for columns in typed]
    ids = {
        name: pa.concat_arrays([columns[name].filter(mask) for columns, mask in zip(typed, own, strict=True)])
        for name in (workload.unique if typed else ())
    }
    concerning = []
    for block, columns, mask in zip(blocks, typed, own, strict=True):
        if workload.unique:
            mask = pc.or_(mask, _all([pc.is_in(columns[name], value_set=ids[name]) for name in workload.unique]))
        numbers = None if block.numbers is None else block.numbers.filter(mask)
        concerning.append(replace(block, rows=block.rows.filter(mask), misfits=(), numbers=numbers))
    return concerning


def _all(conditions: Sequence[pa.Array]) -> pa.Array:
    return pc.fill_null(reduce(pc.and_kleene, conditions), False)
