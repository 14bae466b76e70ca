"""A workload whose days are files of any format, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from muster.context import Context
from muster.ingest.row_checks import check_day, good_rows
from muster.storage.store import Store
from muster.workload.spec import Workload

DAY = date(2024, 1, 15)
COLUMNS = {
    "place": "string",
    "line": "int",
    "at": "timestamp",
    "warm": "float?",
    "open": "bool?",
    "built": "date?",
    "note": "string?",
}
DECLARED: Mapping[str, Any] = {
    "name": "made",
    "keys": ["place", "line"],
    "time": "at",
    "columns": COLUMNS,
    "unique": ["place", "line", "at"],
    "label": {"column": "warm", "above": 0},
    "features": {"columns": ["hour"]},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 7, "evaluate": 7},
    "schedule": {"start": "2024-01-15"},
}


def made(folder: Path, files: str, **source: str) -> Context:
    """Return the workload with such files."""
    workload = Workload.model_validate({**DECLARED, "source": {"files": files, **source}})
    return Context(workload, folder, Store(str(folder), "made"))


def put(folder: Path, name: str, content: bytes | str | pa.Table) -> Path:
    """Write a file; a table as parquet."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def checked(context: Context) -> tuple[list[dict[str, Any]], list[tuple[str | None, str, str]]]:
    """Return the day's good rows by their declared columns, and of the others the file, the reason and the row."""
    rows = check_day(context, DAY)
    good = good_rows(context.workload, rows).select(list(COLUMNS)).to_pylist()
    refused = rows.filter(rows["reason"].is_valid()).to_pylist()
    return good, [(row["file"], row["reason"], row["row"]) for row in refused]
