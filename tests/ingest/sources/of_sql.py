"""A workload whose rows are the answer of the database `orders_db`."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from muster.context import Context
from muster.ingest.sources.kind import Arrival
from muster.ingest.sources.kinds import source_of
from muster.storage.store import Store
from muster.workload.spec import Workload
from tests.ingest.formats.made import DAY, DECLARED

NEXT = DAY + timedelta(days=1)
SQL = "SELECT * FROM rides WHERE at >= :start AND at < :end -- of a day"


def of_sql(folder: Path, sql: str = SQL, columns: dict[str, str] | None = None, **source: str) -> Context:
    declared = {**DECLARED, "source": {"sql": sql, "connection": "orders_db", **source}}
    if columns:
        declared["columns"] = columns
    return Context(Workload.model_validate(declared), folder, Store(str(folder), "made"))


def arrival(context: Context, day: date = DAY) -> Arrival:
    return source_of(context).arrived({day})[day]
