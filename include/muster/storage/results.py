"""The files in which the attempts of a stage leave their results: `<partition>-<attempt>.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from muster.storage.store import Store

PUT_OFF = "until"
"""What the result of an attempt names that MLflow's budget put off: it did not come to its end."""
SKIPPED = "skipped_because"
"""What the result of an attempt names that found no work, or was not to do it."""

AWAIT_DATA = "await_data"
"""Where the task that waits for a partition's data says that they were late, as if it were a stage."""
LATE = "late"
"""What it names then, where the partition was not skipped: why they are late."""

ATTEMPT = "attempt"
"""What the result of training names where it was a retry of some groups: which attempt it was."""

UNPROMOTED = "of-backfill"
"""How attempts of a backfill that promotes nothing are named: nobody waits for what it has judged to be promoted."""

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

    @property
    def of_backfill(self) -> bool:
        """Whether a backfill has left it, as the name of its attempt, or of its run, says."""
        return "backfill" in self.path.rpartition("/")[2]

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


class Ended(NamedTuple):
    """What a stage's last attempt on a partition came to."""

    report: dict[str, Any]
    at: datetime


def ended(store: Store, stage: str, partition: str) -> Ended | None:
    """Return what a stage's last attempt on a partition came to that reached its end: one that was put off did not.

    Raises:
        ValueError: when its result is no JSON.
    """
    results = stage_results(store, stage, partition)
    for result in sorted(results, key=lambda result: (result.at, result.path), reverse=True):
        report = result.read()
        if PUT_OFF not in report:
            return Ended(report, result.at)
    return None
