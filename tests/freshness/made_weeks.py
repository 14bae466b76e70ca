"""A workload with a week of files as its slice, and the weeks before as `ingest` leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from muster.context import Context, PartitionContext
from muster.ingest.arrivals import day_facts
from muster.storage.provenance import content_digest, write_facts
from muster.storage.store import Store
from muster.workload.spec import Workload

START = date(2024, 2, 5)
DECLARED: Mapping[str, Any] = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?", "ride": "string"},
    "unique": ["ride"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal"]},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 21, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
    "freshness": {},
}
PLACES = ("a", "b", "c", "d")


def context_of(folder: Path, source: Mapping[str, str] | None = None, **sections: Any) -> PartitionContext:
    declared = {**DECLARED, "source": source or {"files": "{date}.csv"}, **sections}
    context = Context(Workload.model_validate(declared), folder, Store(str(folder), "made"))
    return context.at(str(START))


def text_of(day: date, places: Sequence[str] = PLACES, rows: int = 3) -> str:
    """Return a day's file: some rows of each place, of its hours from 6 on."""
    lines = [f"{place},{day}T{6 + n:02}:00:00,1.5,{place}{n}" for place in places for n in range(rows)]
    return "\n".join(["place,at,delay,ride", *lines, ""])


def put(folder: Path, day: date, text: str | None = None) -> None:
    (folder / f"{day}.csv").write_text(text_of(day) if text is None else text, encoding="utf-8")


def put_slice(folder: Path, but: Sequence[int] = ()) -> None:
    """Write the files of the slice, all but some days of it, by their number."""
    for number in set(range(7)) - set(but):
        put(folder, START + timedelta(days=number))


def ingested(context: Context, days: Mapping[date, Sequence[str]], rows: int = 3, known: bool = True) -> None:
    """Write `observations` of some days, and what ingest writes down about them unless an older one has not."""
    rows_of = [(place, day) for day, places in days.items() for place in places for _ in range(rows)]
    table = pa.table(
        {
            "place": [place for place, _ in rows_of],
            "at": pa.array(
                [datetime.combine(day, datetime.min.time(), UTC) for _, day in rows_of], pa.timestamp("us", "UTC")
            ),
            "group": [place for place, _ in rows_of],
            "date": pa.array([day for _, day in rows_of], pa.date32()),
        }
    )
    write_deltalake(context.store.table("observations"), table, mode="append", partition_by=["date"])
    if known:
        contents = {day: content_digest(rows * len(places), 1) for day, places in days.items() if places}
        write_facts(context.store, day_facts(context.store, {day: "1 bytes" for day in days}, contents))


def weeks_before(weeks: int = 4) -> list[date]:
    return [START - timedelta(days=number) for number in range(7 * weeks, 0, -1)]
