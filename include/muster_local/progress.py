"""How far a workload has come, read from the jobs' results in the store: no service is asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from muster.champions.journal import Journal
from muster.context import Context, PartitionContext
from muster.errors import MusterError
from muster.ingest.left_out import left_out
from muster.settings import Settings
from muster.storage.results import partition_of, result_files
from muster.storage.store import Store
from muster.workload.stages import STAGE_NAMES, StageName
from muster.workload.windows import DateRange

PUT_OFF = "until"
"""What the result of an attempt names that MLflow's budget put off."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Progress:
    """How far a workload has come."""

    workload: str
    partitions: dict[StageName, str]
    """Stage -> the last partition that it finished."""
    waiting: list[str]
    """What came to the end of a stage and not of the next, though later than all that did: what to do, for each."""
    champion: str | None
    """The version that the alias `Champion` was last moved to."""
    left_out: list[str]
    """The partitions before the last ingested one that no ingest has brought."""
    out_of_date: str | None
    """How many of the slices that the last features looked at are not what would be made now, and why."""


def progress(settings: Settings) -> list[Progress]:
    """Return how far every declared workload has come."""
    from muster.workload.load import workload_files

    workloads = []
    for file in workload_files(settings.workloads):
        store = Store(settings.store_root, file.stem)
        last = {stage: partition for stage in STAGE_NAMES if (partition := last_finished(store, stage))}
        workloads.append(
            Progress(
                file.stem,
                last,
                waiting(store),
                champion(store),
                _of_last(last.get("ingest"), file.stem, settings, left_out) or [],
                _of_last(last.get("features"), file.stem, settings, _out_of_date),
            )
        )
    return workloads


def _of_last(
    partition: str | None, workload: str, settings: Settings, ask: Callable[[PartitionContext], Answer]
) -> Answer | None:
    """Return what `ask` says of a workload's partition; None without one, or where its YAML or code does not hold."""
    try:
        return None if partition is None else ask(Context.named(workload, settings).at(partition))
    except MusterError:  # Airflow and every stage say so
        return None


def _out_of_date(context: PartitionContext) -> str | None:
    from muster.features.slices import out_of_date

    windows = context.windows
    reasons = out_of_date(context, DateRange(windows.history.start, windows.score.stop))
    return "; ".join(f"{count}: {why}" for why, count in Counter(reasons.values()).items()) or None


def finished(store: Store, stage: str, partition: str) -> bool:
    """Tell whether a stage has come to its end for a partition."""
    return result(store, stage, partition) is not None


def last_finished(store: Store, stage: str) -> str | None:
    """Return the last partition that a stage has finished."""
    return next((item for item in reversed(_begun(store, stage)) if finished(store, stage, item)), None)


def waiting(store: Store) -> list[str]:
    """Return which partitions have ended a stage and not the next, and what to do.

    Airflow starts a stage when the one before ends, unless its DAG is paused just then; nothing is red, and unpausing
    it later starts what comes afterwards only. Older partitions than the next stage's last are left out: a backfill is
    not promoted.
    """
    due = []
    for stage, following in pairwise(STAGE_NAMES):
        ended, last = _begun(store, stage), last_finished(store, following) or ""
        for partition in (item for item in ended if item > last and finished(store, stage, item)):
            dag = f"{store.workload}.{following}"
            due.append(
                f"{partition} has ended {stage} and not {following}: if no run of {dag} is at work or red, "
                f"trigger {dag} with the partition key {partition}"
            )
    return due


def _begun(store: Store, stage: str) -> list[str]:
    return sorted({partition_of(file) for file in result_files(Path(store.results(stage)))})


def result(store: Store, stage: str, partition: str) -> dict[str, Any] | None:
    """Return what a stage's last attempt on a partition reported that came to its end: one that was put off did not."""
    files = result_files(Path(store.results(stage)), partition)
    latest_first = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    reports: Iterator[dict[str, Any]] = (json.loads(file.read_text()) for file in latest_first)
    return next((report for report in reports if PUT_OFF not in report), None)


def champion(store: Store) -> str | None:
    """Return the version that `Champion` points to, by the journal; or how many groups have one of their own.

    The last move tells which of the two registries the workload has now.
    """
    moves = [move for move in Journal(store).rows if move["alias"] == "Champion"]
    if not moves or moves[-1]["group"] is None:
        return moves[-1]["to_version"] if moves else None
    return f"{len({move['group'] for move in moves} - {None})} groups' own"
