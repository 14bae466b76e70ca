"""Write to Delta tables without Spark."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from muster.storage.store import Store
from muster.storage.tables import TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

ATTEMPTS = 6
"""How often a commit is tried that another one came before: it replaces the same rows each time."""


def created(store: Store, table: str, columns: pa.Schema) -> DeltaTable:
    """Open the table `table`; where there is none yet it is made first, empty, laid out by its `partitioned_by`.

    Of two that write to it for the first time in the same moment, neither then replaces more than its own rows.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    there = store.open(table)
    if there is not None:
        return there
    location, by = store.table(table), list(TABLES[table].partitioned_by)
    with contextlib.suppress(DeltaError):  # another process makes it in the same moment
        DeltaTable.create(location, columns, mode="ignore", partition_by=by or None)
    return DeltaTable(location)


def replace_rows(store: Store, table: str, rows: pa.Table, where: str) -> None:
    """Replace the rows of `table` for which the SQL predicate `where` holds with `rows`, in one Delta commit.

    Where `where` names partition columns only, no other partition's file is read or rewritten. A column that the table
    has not yet is added to it.
    """
    from deltalake import write_deltalake
    from deltalake.exceptions import CommitFailedError

    for attempt in Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(max=2),
        reraise=True,
    ):
        with attempt:
            delta = created(store, table, rows.schema)
            # Merging alters the table even where nothing is new, and then another's write at the same moment fails.
            same = {field.name for field in delta.schema().fields} == set(rows.column_names)
            write_deltalake(delta, rows, mode="overwrite", predicate=where, schema_mode=None if same else "merge")
