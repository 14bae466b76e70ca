"""What a training will take, found out before it starts: rows, memory, disk, MLflow calls, minutes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal as size

from muster import groups
from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.printable import number
from muster.storage.results import ATTEMPT, PUT_OFF, stage_results
from muster.storage.store import Store
from muster.training.expected_groups import ExpectedGroups
from muster.training.large_groups import LargeGroups
from muster.training.task_memory import Memory, NotEnoughMemory, Passes, bytes_needed, passes

SHOWN = 3
"""How many of the largest groups are named."""


class NotEnoughDisk(MusterError):
    """Raised before a training whose models would not fit where they go."""

    def __init__(self, root: str, needed: int, free: int) -> None:
        super().__init__(
            f"the models need about {size(needed)}, as those of the last run did, and '{root}' has {size(free)} free; "
            "make room ('./muster housekeeping'), then train again"
        )


@dataclass(frozen=True)
class Preflight:
    """What a training will take."""

    groups: int
    rows: int
    largest: Mapping[str, int]
    """The largest groups and their rows, of all that are read."""
    large: int
    """Groups that are sampled, or not trained, since they are large."""
    needed: int
    """Bytes of memory that the largest bucket needs."""
    memory: Memory | None
    passes: Passes
    models: int | None
    """Bytes of models, by those of the last run; None without one."""
    mlflow_calls: int | None
    minutes: float | None

    def as_result(self) -> dict[str, Any]:
        """Return what the job's result has of it: what is the same on every machine."""
        large = {"large_groups": self.large} if self.large else {}
        return {"rows_read": self.rows, "largest_groups": dict(self.largest), "task_bytes": self.needed, **large}

    def __str__(self) -> str:
        """Return it as one line of the log."""
        named = bounded(f"'{group}' ({rows:,} rows)" for group, rows in self.largest.items())
        has = "nobody has said what one has" if self.memory is None else f"one has {size(self.memory.of_task)}"
        more = f"; more in {number(len(self.passes.large), 'bucket')}, {self.passes.at_once} at once"
        more = more if self.passes.large else ""
        large = f"; large: {number(self.large, 'group')}" if self.large else ""
        expected = [
            "" if self.minutes is None else f"about {self.minutes:.1f} min",
            "" if self.mlflow_calls is None else f"{self.mlflow_calls} MLflow calls",
            "" if self.models is None else f"{size(self.models)} of models",
        ]
        by_last = ", ".join(filter(None, expected))
        by_last = f"by the last run {by_last}" if by_last else "no run before says how long it takes"
        return (
            f"preflight: {number(self.groups, 'group')}, {number(self.rows, 'row')}; largest {named}{large}; "
            f"a task needs up to {size(self.needed)}, {has}{more}; {by_last}"
        )


def preflight(
    context: PartitionContext, expected: ExpectedGroups, large: LargeGroups, memory: Memory | None
) -> Preflight:
    """Return what a partition's training will take.

    Raises:
        NotEnoughMemory: when a bucket needs more memory than all tasks of a machine have together.
        NotEnoughDisk: when the models of the last run would not fit where the store is, if that is a folder.
    """
    workload, read = context.workload, _read(expected, large)
    by_bucket: dict[int, dict[str, int]] = {}
    for group, rows in read.items():
        by_bucket.setdefault(groups.bucket(group, workload.features.buckets), {})[group] = rows
    columns = len(workload.features.columns)
    needed = {bucket: bytes_needed(columns, sum(own.values()), max(own.values())) for bucket, own in by_bucket.items()}
    try:
        divided = passes(needed, memory)
    except ValueError as error:
        [bucket] = error.args
        assert memory is not None  # noqa: S101 - for the type: else nothing is too much
        raise NotEnoughMemory(bucket, needed[bucket], memory.shared, _largest(by_bucket[bucket])) from None
    last, rows = last_run(context.store), sum(read.values())
    models = round(last.bytes * rows / last.rows) if last else None
    _check_disk(context.store, models or 0)
    return Preflight(
        groups=len(expected.rows),
        rows=sum(expected.rows.values()),
        largest=_largest(expected.rows),
        large=len(large.rows),
        needed=max(needed.values(), default=0),
        memory=memory,
        passes=divided,
        models=models,
        mlflow_calls=last.mlflow_calls if last else None,
        minutes=round(last.seconds / 60 * rows / last.rows, 2) if last else None,
    )


def _read(expected: ExpectedGroups, large: LargeGroups) -> Mapping[str, int]:
    """Return the rows of each group that are in memory: of a large one, those that are sampled."""
    return {group: min(rows, large.most) if group in large.rows else rows for group, rows in expected.rows.items()}


def _largest(rows: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(rows.items(), key=lambda item: (-item[1], item[0]))[:SHOWN])


@dataclass(frozen=True)
class LastRun:
    """What the last training took."""

    seconds: float
    rows: int
    """That it read."""
    bytes: int
    """Of its models."""
    mlflow_calls: int


MEASURED = ("seconds", "rows_read", "bytes", "mlflow_calls")
"""What the result of a training has of this."""


def last_run(store: Store) -> LastRun | None:
    """Return what the newest training of all groups took that came to its end, of any partition; None without one."""
    for result in sorted(stage_results(store, "train"), key=lambda result: result.at, reverse=True):
        report = result.read()
        whole = PUT_OFF not in report and ATTEMPT not in report and report.keys() >= set(MEASURED)
        if whole and report["rows_read"]:
            return LastRun(*(report[name] for name in MEASURED))
    return None


def _check_disk(store: Store, needed: int) -> None:
    if "://" in store.root or not Path(store.root).is_dir():
        return
    free = shutil.disk_usage(store.root).free
    if free < needed:
        raise NotEnoughDisk(store.root, needed, free)
