"""A workload whose days come one by one, from each kind of source, and what an ingest leaves of them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.arrivals import day_facts
from muster.ingest.due_days import due_arrivals
from muster.storage.delta import replace_rows
from muster.storage.provenance import write_facts
from muster.storage.store import Store
from muster.workload.spec import Workload
from tests.plugins.airflow_task import PARTITION

FIRST = date.fromisoformat(PARTITION)
DECLARED: dict[str, Any] = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal"], "lookback": 1},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
    "arrivals": {},
}
OF_KIND: dict[str, dict[str, str]] = {
    "files": {},
    "table": {"table": "raw/rides"},
    "sql": {"sql": "SELECT place, at, delay FROM rides WHERE at >= :start AND at < :end", "connection": "rides_db"},
}
"""Kind of source -> how it is declared."""


def week(partition: date) -> list[date]:
    return [partition + timedelta(days=number) for number in range(7)]


@dataclass
class Arriving:
    """A workload's source and store in a folder. A day's `delay` tells one delivery from another."""

    folder: Path
    kind: str = "files"
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        workload = Workload.model_validate({**DECLARED, "source": OF_KIND[self.kind], **self.more})
        return Context(workload, self.folder, Store(str(self.folder), "made"))

    @property
    def store(self) -> Store:
        return self.context.store

    @property
    def database(self) -> Path:
        return self.folder / "rides.db"

    def deliver(self, *days: date, rows: int = 1) -> None:
        """Deliver days, or deliver them again, with so many rows each."""
        put: Callable[[date, int], None] = {"files": self._file, "table": self._table, "sql": self._sql}[self.kind]
        for day in days:
            put(day, rows)

    def ingest(self, partition: date, without: Collection[date] = ()) -> None:
        """Leave what the job `ingest` of a partition would."""
        arrived = due_arrivals(self.context.at(str(partition)), without)
        for one in arrived:
            rows = pa.table({"place": ["a"], "date": pa.array([one.day], pa.date32())})
            replace_rows(self.store, "observations", rows, f"date = '{one.day}'")
        write_facts(self.store, day_facts(self.store, {one.day: one.delivery for one in arrived}, {}))
        self.ended(partition)

    def ended(self, partition: date, stage: str = "ingest") -> None:
        self.store.files.put(f"{self.store.results(stage)}/{partition}-made.json", json.dumps({}).encode())

    def path(self, day: date) -> Path:
        return self.folder / "landing" / "made" / f"{day}.csv.gz"

    def _file(self, day: date, rows: int) -> None:
        text = "place,at,delay\n" + "".join(f"a,{day}T06:00:{number:02},1\n" for number in range(rows))
        self.path(day).parent.mkdir(parents=True, exist_ok=True)
        self.path(day).write_bytes(gzip.compress(text.encode(), mtime=0))

    def _table(self, day: date, rows: int) -> None:
        at = pa.array([f"{day}T06:00:{number:02}" for number in range(rows)]).cast(pa.timestamp("us"))
        made = pa.table({"place": ["a"] * rows, "at": at, "delay": [1.0] * rows})
        location, end = self.folder / "raw" / "rides", day + timedelta(days=1)
        if not location.exists():
            write_deltalake(location, made)
            return
        predicate = f"at >= '{day}T00:00:00' AND at < '{end}T00:00:00'"
        write_deltalake(location, made, mode="overwrite", predicate=predicate)

    def _sql(self, day: date, rows: int) -> None:
        with sqlite3.connect(self.database) as database:
            database.execute("CREATE TABLE IF NOT EXISTS rides (place, at, delay)")
            database.execute("DELETE FROM rides WHERE date(at) = ?", [str(day)])
            made: Iterable[tuple[str, str, float]] = [("a", f"{day} 06:00:{number:02}", 1.0) for number in range(rows)]
            database.executemany("INSERT INTO rides VALUES (?, ?, ?)", made)
