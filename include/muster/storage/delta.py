"""Write to Delta tables without Spark."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa

from muster.errors import MusterError
from muster.storage.store import Store
from muster.storage.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

RECENT = 20
"""Commits that are looked through first for one that was just made."""


class NoSuchCommit(MusterError):
    """Raised when a table's history does not show a commit that was just made."""

    retryable = True

    def __init__(self, location: str, mark: str) -> None:
        super().__init__(
            f"the history of '{location}' shows no commit with the userMetadata '{mark}', which was just made: "
            f"somebody has replaced the table meanwhile; run it again"
        )


def created(store: Store, table: str, columns: pa.Schema) -> DeltaTable:
    """Open the table `table`; where there is none yet it is made first, empty, laid out by its `partitioned_by`.

    Of two that write to it for the first time in the same moment, neither then replaces more than its own rows.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    there = store.open(table)
    if there is not None:
        return there
    by = list(TABLES[table].partitioned_by)
    with contextlib.suppress(DeltaError):  # another process makes it in the same moment
        DeltaTable.create(store.table(table), columns, mode="ignore", partition_by=by or None)
    there = store.open(table)
    assert there is not None  # noqa: S101 - for the type: it has just been made
    return there


def replace_rows(store: Store, table: str, rows: pa.Table, where: str) -> None:
    """Replace the rows of `table` for which the SQL predicate `where` holds with `rows`, in one Delta commit.

    Where `where` names partition columns only, no other partition's file is read or rewritten. A column that the table
    has not yet is added to it. Another's commit at the same moment may make it fail: then it can be made again.
    """
    from deltalake import write_deltalake

    delta = created(store, table, rows.schema)
    # Merging alters the table even where nothing is new, and then another's write at the same moment fails.
    same = {field.name for field in delta.schema().fields} == set(rows.column_names)
    write_deltalake(delta, rows, mode="overwrite", predicate=where, schema_mode=None if same else "merge")


def marked_version(store: Store, table: str, mark: str) -> int:
    """Return the version that was committed with the `userMetadata` `mark`, whatever was committed after it."""
    delta = store.open(table)
    assert delta is not None  # noqa: S101 - for the type: it was committed to
    for commits in (RECENT, None):  # each is a file to read
        for commit in delta.history(commits):
            if commit.get("userMetadata") == mark:
                return int(commit["version"])
    raise NoSuchCommit(store.table(table), mark)
