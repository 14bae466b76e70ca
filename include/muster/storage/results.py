"""The files in which the attempts of a stage leave their results: `<partition>-<attempt>.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.storage.store import Store

PUT_OFF = "until"
"""What the result of an attempt names that MLflow's budget put off: it did not come to its end."""

_NAME = re.compile(r"(?P<partition>\d{4}-\d{2}-\d{2})-[^/]*\.json")


@dataclass(frozen=True)
class StageResult:
    """What one attempt has left."""

    store: Store
    path: str
    """Below the store's root."""
    partition: str
    at: datetime
    """When it was written."""

    def read(self) -> dict[str, Any]:
        """Return what it reports.

        Raises:
            ValueError: when that is no JSON.
        """
        return read_result(self.store, self.path)


def read_result(store: Store, path: str) -> dict[str, Any]:
    """Return what the result at a path below the store's root reports.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: when it is no JSON.
    """
    report: dict[str, Any] = json.loads(store.files.read(path))
    return report


def stage_results(store: Store, stage: str, partition: str | None = None) -> list[StageResult]:
    """Return the results of a stage, of all partitions or of one, in no order."""
    folder, found = store.results(stage), []
    for file in store.files.listed(folder):
        named = _NAME.fullmatch(file.path.removeprefix(f"{folder}/"))
        if named is not None and partition in (None, named["partition"]):
            found.append(StageResult(store, file.path, named["partition"], file.modified))
    return found


@dataclass(frozen=True)
class EndedResult:
    """What the last attempt reported that came to its end."""

    report: dict[str, Any]
    at: datetime


def ended_result(store: Store, stage: str, partition: str) -> EndedResult | None:
    """Return what a stage's last attempt on a partition reported that came to its end: one that was put off did not.

    Raises:
        ValueError: when its result is no JSON.
    """
    results = stage_results(store, stage, partition)
    for result in sorted(results, key=lambda result: (result.at, result.path), reverse=True):
        report = result.read()
        if PUT_OFF not in report:
            return EndedResult(report, result.at)
    return None
