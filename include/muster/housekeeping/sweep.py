"""Housekeeping of a workload: what nobody needs any more is found first, all of it, then removed, while others write.

What protects them is age: whoever writes a file, or is about to refer to an old one, has written it lately. So a file
is removed only if it is old in the moment before, and if no champion needs it by a journal that was read after it was
found. Who writes an old file anew in that very moment waits until it is gone (`muster.storage.staying`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from muster.context import Context
from muster.housekeeping.figures import Figures
from muster.housekeeping.inventory import Inventory, Kind, inventory
from muster.housekeeping.needed import Needed, needed
from muster.housekeeping.old_results import old_results
from muster.housekeeping.old_versions import OldVersions, old_versions, remove_old_versions
from muster.mlflow.budget import muster_errors
from muster.models.manifest_reader import ABOUT, REMOVED
from muster.printable import number
from muster.storage.files import Files, Listed
from muster.storage.staying import remove_if
from muster.storage.tables import TABLES

MOST_LAYERS = 10**9
SWEPT: tuple[Kind, ...] = ("manifests", "champion_shards", "candidate_shards", "results", "leftovers")
"""The kinds of files that are removed one by one, in this order."""
LEFT_OVER = timedelta(days=1)
"""What is half-written for so long, nobody writes any more."""


@dataclass(frozen=True)
class Plan:
    """What a sweep has found, and what of it can go."""

    inventory: Inventory
    needed: Needed
    manifests: list[Listed]
    """In the order in which they go: none before those that are written over it."""
    champion_shards: list[Listed]
    candidate_shards: list[Listed]
    results: list[Listed]
    leftovers: list[Listed]
    tables: list[OldVersions]


@muster_errors()
def sweep(context: Context, dry_run: bool = False) -> Figures:
    """Remove what nobody needs any more, or only say what that would be.

    Killed at any moment, it is run again: a pack's manifest goes before the models that it names, so no pack is left
    that lacks any. Before the first of them goes, a note is left in its folder that says so to whoever asks for it.

    Raises:
        JournalGone, NotVouched, NothingRemoved: when nobody can tell what champions need; nothing is removed then.
    """
    plan = found(context)
    figures = Figures(dry_run, unknown=plan.inventory.unknown)
    _count_all(figures, plan)
    if dry_run:
        for kind in SWEPT:
            figures.removed[kind].add(getattr(plan, kind))
        for old in plan.tables:
            _count_table(figures, old)
        return figures
    _remove(context, plan, figures)
    for old in plan.tables:
        keep = plan.needed.runs.features if old.table == "features" else ()
        days = context.workload.housekeeping.days
        _count_table(figures, remove_old_versions(context.store, old, keep, days))
    return figures


def found(context: Context) -> Plan:
    """Find out what can go; nothing is changed."""
    store, days = context.store, context.workload.housekeeping.days
    there = inventory(store)
    stays = needed(context, there)
    old = _older(timedelta(days=days))

    def gone(files: Iterable[Listed]) -> list[Listed]:
        return [file for file in files if file.path not in stays.files and old(file)]

    tables = (
        old_versions(store, name, there.tables.get(name, {}), stays.runs.features if name == "features" else (), days)
        for name in TABLES
    )
    return Plan(
        there,
        stays,
        sorted(gone(there.of("manifests")), key=lambda file: -_layers_below(store.files, file.path)),
        gone(there.of("champion_shards")),
        gone(there.of("candidate_shards")),
        [file for file in old_results(store, there.of("results")) if old(file)],
        [file for file in there.of("leftovers") if _older(LEFT_OVER)(file)],
        [table for table in tables if table is not None],
    )


def _older(than: timedelta) -> Callable[[Listed], bool]:
    since = datetime.now(UTC) - than
    return lambda file: file.modified < since


def _layers_below(files: Files, path: str) -> int:
    """Return how many manifests one is written over: more than any of those."""
    try:
        return len(json.loads(pq.read_schema(io.BytesIO(files.read(path))).metadata[ABOUT]).get("under", ()))
    except (pa.ArrowException, ValueError, KeyError, TypeError, FileNotFoundError):
        return MOST_LAYERS  # it is broken already


def _remove(context: Context, plan: Plan, figures: Figures) -> None:
    """Remove files of champions and candidates, results and what was half-written, in this order."""
    files, days = context.store.files, timedelta(days=context.workload.housekeeping.days)
    for kind in ("manifests", "champion_shards", "candidate_shards"):
        candidates: list[Listed] = getattr(plan, kind)
        stays = needed(context, plan.inventory).files if candidates else frozenset()
        noted: set[str] = set()
        for file in candidates:
            if file.path in stays or not _still_old(files, file, days):
                continue
            folder = file.path.rpartition("/")[0]
            if kind != "champion_shards" and folder not in noted:
                _note(context, files, folder, kind)
                noted.add(folder)
            if remove_if(files, file.path, _older(days)):
                figures.removed[kind].add([file])
    for kind, age in (("results", days), ("leftovers", LEFT_OVER)):
        for file in getattr(plan, kind):
            if _still_old(files, file, age):
                files.delete(file.path)
                figures.removed[kind].add([file])


def _still_old(files: Files, file: Listed, age: timedelta) -> bool:
    now = files.about(file.path)
    return now is not None and _older(age)(now)


def _note(context: Context, files: Files, folder: str, kind: str) -> None:
    """Leave word in a folder whose files go, for whoever asks for them later."""
    keep = context.workload.housekeeping.keep
    again = {
        "manifests": f"as no rollback of the last {number(keep, 'promotion')} needs it (`housekeeping.keep`): go back "
        "to a later version, or put its files back from a backup",
        "candidate_shards": f"as its run is none of the last {keep} (`housekeeping.keep`), and was settled: the same "
        "data give the same models again",
    }
    word = {"at": datetime.now(UTC).isoformat(), "why": again[kind]}
    files.put(f"{folder}/{REMOVED}", json.dumps(word).encode())


def _count_all(figures: Figures, plan: Plan) -> None:
    for kind in SWEPT:
        figures.there[kind].add(plan.inventory.of(kind))
    for listed in plan.inventory.tables.values():
        for path, file in listed.items():
            figures.there["table_logs" if path.startswith("_delta_log/") else "table_files"].add([file])


def _count_table(figures: Figures, old: OldVersions) -> None:
    figures.removed["table_files"].add(old.files)
    figures.removed["table_logs"].add(old.logs)
    figures.checkpoints += old.checkpoint
