"""Old versions of a workload's tables: files that no present row is in, and the log of how it came to be."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from muster.storage.files import Listed
from muster.storage.store import NoSuchVersion, Store, TableVersion, table_id

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
CHECKPOINT_AFTER = 20
"""Commits since the last checkpoint after which a reader is slower by them than by writing one."""
LOG_RETENTION = timedelta(days=30)
"""Delta's default, by which its own writers clean up: a table that declares another is left to them."""
_LOG_FILE = re.compile(rf"{LOG}/(?P<version>\d{{20}})\.(?P<rest>.+)")


@dataclass(frozen=True)
class OldVersions:
    """What can go of one table."""

    table: str
    files: list[Listed]
    """Files of rows, of versions that nobody reads any more."""
    logs: list[Listed]
    """Files of the log, before a checkpoint."""
    checkpoint: bool
    """Whether a checkpoint is due."""


def old_versions(
    store: Store, table: str, listed: Mapping[str, Listed], keep: Collection[TableVersion], days: int
) -> OldVersions | None:
    """Find what can go of a table; nothing that a version of `keep` needs. None where there is no such table."""
    delta = store.open(table)
    if delta is None:
        return None
    kept = _present(store, table, delta, keep)
    names = _vacuum(delta, kept, days, dry_run=True)
    by_name = {unquote(path): file for path, file in listed.items()}
    files = [by_name[unquote(name)] for name in names if unquote(name) in by_name]
    due = _checkpoint_due(store, table, delta)
    logs = _old_logs(delta, listed, delta.version() if due else None, kept)
    return OldVersions(table, files, logs, due)


def remove_old_versions(store: Store, old: OldVersions, keep: Collection[TableVersion], days: int) -> OldVersions:
    """Remove them, others may write to the table meanwhile; return what was removed indeed.

    The checkpoint comes first: what the log's files before it say is in it.
    """
    from deltalake.exceptions import CommitFailedError

    delta = store.open(old.table)
    if delta is None:
        return OldVersions(old.table, [], [], False)
    if old.checkpoint:
        delta.create_checkpoint()
    logs = old.logs
    if logs:
        delta.cleanup_metadata()
        logs = [file for file in logs if store.files.about(file.path) is None]
    files = old.files
    if files:
        with suppress(CommitFailedError):  # it notes that it begins and ends; another's commit came between
            _vacuum(delta, _present(store, old.table, delta, keep), days, dry_run=False)
        files = [file for file in files if store.files.about(file.path) is None]
    return OldVersions(old.table, files, logs, old.checkpoint)


def _vacuum(delta: DeltaTable, keep: Collection[int], days: int, dry_run: bool) -> list[str]:
    """Return the paths of files below the table that no version needs that is younger than `days`, or kept.

    Delta refuses less than the table itself declares; that holds then.
    """
    from deltalake.exceptions import DeltaError

    how = {"dry_run": dry_run, "full": True, "keep_versions": sorted(keep) or None}
    try:
        return delta.vacuum(retention_hours=24 * days, **how)  # type: ignore[arg-type]
    except DeltaError as error:
        if "retention" not in str(error):
            raise
        return delta.vacuum(**how)  # type: ignore[arg-type]


def _present(store: Store, table: str, delta: DeltaTable, keep: Collection[TableVersion]) -> list[int]:
    """Return the numbers of those versions that are still there, and of this very table."""
    own = table_id(delta)
    there = []
    for version in keep:
        with suppress(NoSuchVersion):
            if version.table in (None, own) and store.open(table, version) is not None:
                there.append(version.number)
    return there


def _checkpoint_due(store: Store, table: str, delta: DeltaTable) -> bool:
    path = f"{store.tables}/{table}/{LOG}/_last_checkpoint"
    try:
        last = int(json.loads(store.files.read(path))["version"])
    except (FileNotFoundError, ValueError, KeyError):
        last = -1
    return delta.version() - last > CHECKPOINT_AFTER


def _old_logs(
    delta: DeltaTable, listed: Mapping[str, Listed], checkpoint: int | None, keep: Collection[int]
) -> list[Listed]:
    """Return the log's files that Delta's own clean-up removes: older ones, before a checkpoint that all others need.

    None where a version of `keep` needs any of them: Delta would not ask.
    """
    if "delta.logRetentionDuration" in delta.metadata().configuration:
        return []
    since = datetime.now(UTC) - LOG_RETENTION
    logs = {path: file for path, file in listed.items() if _LOG_FILE.fullmatch(path)}
    young = [_version(path) for path, file in logs.items() if file.modified >= since and path.endswith(".json")]
    first = min(young, default=delta.version())
    checkpoints = {_version(path) for path in logs if ".checkpoint" in path} | ({checkpoint} if checkpoint else set())
    needed = max((version for version in checkpoints if version <= first), default=0)
    if any(version < needed for version in keep):
        return []
    return [file for path, file in logs.items() if _version(path) < needed and file.modified < since]


def _version(path: str) -> int:
    named = _LOG_FILE.fullmatch(path)
    return int(named["version"]) if named else -1
