"""The rows of one group from the landed files, checked as ingest checks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import Context
from muster.ingest.landed_files import TextBlock, landed_file, read_text
from muster.ingest.row_checks import check_rows, good_rows, group_names


@dataclass(frozen=True)
class LandedGroup:
    """The rows of one group as landed."""

    rows: pa.Table
    """The good ones, with the columns of `observations`."""
    refused: Mapping[str, int]
    """How many others, by reason."""
    groups: frozenset[str]
    """All groups of the files."""


def landed_group(context: Context, days: Sequence[date], group: str) -> LandedGroup:
    """Read days' files and check the rows of one group.

    Raises:
        BadFile: for a file that is cut off, empty, or has other columns.
    """
    with ThreadPoolExecutor() as pool:  # decompressing and parsing run outside Python's lock
        of_days = list(pool.map(lambda day: _of_day(context, day, group), days))
    checked = pa.concat_tables([rows for rows, _ in of_days])
    refused = Counter(checked["reason"].drop_null().to_pylist())
    known = frozenset[str]().union(*(names for _, names in of_days))
    return LandedGroup(good_rows(context.workload, checked), refused, known)


def _of_day(context: Context, day: date, group: str) -> tuple[pa.Table, set[str]]:
    """Return the group's rows of a day, checked, and the names of all groups in its file."""
    workload = context.workload
    known: set[str] = set()
    blocks: list[TextBlock] = []
    # Where `unique` names all keys, no other group's row can repeat one of this group's.
    alone = set(workload.keys) <= set(workload.unique)
    for block in read_text(workload, landed_file(context.store, day)):
        names = group_names(workload, block.rows)
        known |= set(names.unique().drop_null().to_pylist())
        own = block.rows.filter(pc.fill_null(pc.equal(names, group), False)) if alone else block.rows
        blocks.append(TextBlock(own, []))
    checked = check_rows(workload, day, blocks)
    return checked.filter(pc.equal(pc.struct_field(checked["observation"], "group"), group)), known
