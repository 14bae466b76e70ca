"""Landed rows for tests: their text, and what ingest makes of them."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.row_checks import check_day, good_rows
from muster.ingest.sources.kind import RowBlock
from muster.ingest.sources.kinds import complete_arrivals, source_of
from muster.storage.store import Store


@dataclass(frozen=True)
class Checked:
    """Rows of landed files."""

    rows: pa.Table
    """The good ones, with the columns of `observations`."""
    refused: dict[str, int]
    """How many others, by reason."""


def check_days(context: Context, days: Iterable[date]) -> Checked:
    """Check days' files as ingest does."""
    checked = pa.concat_tables([check_day(context, day) for day in days])
    return Checked(good_rows(context.workload, checked), dict(Counter(checked["reason"].drop_null().to_pylist())))


def landed_texts(context: Context, days: Iterable[date]) -> pd.DataFrame:
    """Return the rows of days' files as text."""
    return pa.Table.from_batches([block.rows for block in read_blocks(context, days)]).to_pandas()


def read_blocks(context: Context, days: Iterable[date]) -> list[RowBlock]:
    """Read all that has arrived for days."""
    arrived = complete_arrivals(context, set(days))
    return [block for arrival in arrived.values() for block in source_of(context).read(arrival)]


def land_nothing(store: Store, header: str, days: Iterable[date]) -> None:
    """Land files without rows, after an ingest of a day long ago."""
    rows = pa.table({"group": ["a"], "date": [date(2000, 1, 1)]})
    write_deltalake(store.table("observations"), rows, partition_by=["date"])
    Path(store.uri(store.landing)).mkdir(parents=True)
    for day in days:
        (Path(store.uri(store.landing)) / f"{day}.csv.gz").write_bytes(gzip.compress(f"{header}\n".encode()))


def land_days(store: Store, rows: pd.DataFrame) -> None:
    """Deliver rows with a time `at` as the files of their days."""
    for day, own in rows.groupby(rows["at"].dt.date):
        text = own.assign(at=own["at"].dt.strftime("%Y-%m-%dT%H:%M:%S")).to_csv(index=False)
        store.files.put(f"{store.landing}/{day}.csv.gz", gzip.compress(text.encode()))
