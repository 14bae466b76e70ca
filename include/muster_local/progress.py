"""How far a workload has come, read from the jobs' results in the store: no service is asked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster.champions.journal import Journal
from muster.context import Context
from muster.errors import MusterError
from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.stages import STAGE_NAMES, StageName
from muster.workload.windows import DateRange


@dataclass(frozen=True)
class Progress:
    """How far a workload has come."""

    workload: str
    partitions: dict[StageName, str]
    """Stage -> the last partition that it finished."""
    champion: str | None
    """The version that the alias `Champion` was last moved to."""
    out_of_date: str | None = None
    """How many of the slices that the last features looked at are not what would be made now, and why."""


def progress(settings: Settings) -> list[Progress]:
    """Return how far every declared workload has come."""
    from muster.workload.load import workload_files

    workloads = []
    for file in workload_files(settings.workloads):
        store = Store(settings.store_root, file.stem)
        last = {stage: partitions[-1] for stage in STAGE_NAMES if (partitions := finished_partitions(store, stage))}
        stale = _out_of_date(file.stem, last["features"], settings) if "features" in last else None
        workloads.append(Progress(file.stem, last, champion(store), stale))
    return workloads


def _out_of_date(workload: str, partition: str, settings: Settings) -> str | None:
    from muster.features.slices import out_of_date

    try:
        context = Context.named(workload, settings).at(partition)
        windows = context.windows
        reasons = out_of_date(context, DateRange(windows.history.start, windows.score.stop))
    except MusterError:  # its YAML or code does not hold: Airflow and every stage say so
        return None
    return "; ".join(f"{count}: {why}" for why, count in Counter(reasons.values()).items()) or None


def finished_partitions(store: Store, stage: str) -> list[str]:
    """Return the partitions that a stage has finished, in order."""
    return sorted({file.name[:10] for file in Path(store.results(stage)).glob("????-??-??-*.json")})


def result(store: Store, stage: str, partition: str) -> dict[str, Any] | None:
    """Return what a stage's last attempt on a partition reported."""
    files = Path(store.results(stage)).glob(f"{partition}-*.json")
    latest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    return json.loads(latest.read_text()) if latest else None


def champion(store: Store) -> str | None:
    """Return the version that `Champion` points to, by the journal; or how many groups have one of their own."""
    moves = [move for move in Journal(store).rows if move["alias"] == "Champion"]
    groups = {move["group"] for move in moves} - {None}
    if groups:
        return f"{len(groups)} groups' own"
    return moves[-1]["to_version"] if moves else None
