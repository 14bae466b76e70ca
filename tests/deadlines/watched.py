"""A workload with deadlines, and what its jobs would have left in its store."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from muster.champions.journal import Journal, Move
from muster.champions.units import Unit
from muster.context import Context
from muster.storage.store import Store
from muster.workload.spec import Workload
from tests.features.test_slices import DECLARED

FIRST, SECOND, THIRD = "2024-01-01", "2024-01-08", "2024-01-15"
BY = {"predictions_by": "06:00"}
STAGES = ("ingest", "features", "train", "evaluate", "promote", "score")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def watched(folder: Path, **changes: Any) -> Context:
    """Return the context of a workload of weeks, whose days and deadlines are of UTC."""
    declared = {"schedule": {"start": date(2024, 1, 1)}, "deadlines": BY, **changes}
    return Context(Workload.model_validate({**DECLARED, **declared}), folder, Store(str(folder), "made"))


def end(context: Context, stage: str, partition: str, at: str, attempt: str = "a", **report: Any) -> None:
    """Leave the result of a stage that came to its end then."""
    file = Path(context.store.uri(context.store.results(stage)), f"{partition}-{attempt}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report))
    os.utime(file, (utc(at).timestamp(),) * 2)


def end_all(context: Context, partition: str, at: str) -> None:
    for stage in STAGES:
        end(context, stage, partition, at)


def promote(context: Context, partition: str, version: str, group: str | None = None, cause: Any = "gate") -> None:
    """Write a move of the alias into the journal."""
    unit = Unit("made", "made" if group is None else f"made.{group}", group)
    Journal(context.store).append([Move(unit, None, version, cause, "muster", "run", partition, "0")])
