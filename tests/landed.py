"""Landed rows for tests: their text, and what ingest makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa

from muster.context import Context
from muster.ingest.landed_files import landed_file, read_text
from muster.ingest.row_checks import check_file, good_rows


@dataclass(frozen=True)
class Checked:
    """Rows of landed files."""

    rows: pa.Table
    """The good ones, with the columns of `observations`."""
    refused: dict[str, int]
    """How many others, by reason."""


def check_days(context: Context, days: Iterable[date]) -> Checked:
    """Check days' files as ingest does."""
    checked = pa.concat_tables([check_file(context, day) for day in days])
    return Checked(good_rows(context.workload, checked), dict(Counter(checked["reason"].drop_null().to_pylist())))


def landed_texts(context: Context, days: Iterable[date]) -> pd.DataFrame:
    """Return the rows of days' files as text."""
    files = [landed_file(context.store, day) for day in days]
    return pa.Table.from_batches(
        [block.rows for file in files for block in read_text(context.workload, file)]
    ).to_pandas()
