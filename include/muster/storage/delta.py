"""Write to Delta tables without Spark."""

from __future__ import annotations

import pyarrow as pa

from muster.storage.store import Store
from muster.storage.tables import TABLES


def replace_rows(store: Store, table: str, rows: pa.Table, where: str) -> None:
    """Replace the rows of `table` for which the SQL predicate `where` holds with `rows`, in one Delta commit.

    The first commit creates the table, laid out by its `partitioned_by`. Where `where` names partition columns only,
    no other partition's file is read or rewritten.
    """
    from deltalake import write_deltalake

    write_deltalake(
        store.table(table),
        rows,
        mode="overwrite",
        partition_by=list(TABLES[table].partitioned_by) or None,
        predicate=where if store.open(table) else None,
        schema_mode="merge",  # a column that an earlier version of Muster did not write
    )
