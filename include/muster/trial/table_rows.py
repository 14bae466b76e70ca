"""The rows of one group from the table `observations`, as the features job reads them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from muster.ingest.names import check_row_ids, names
from muster.storage.delta import dataset
from muster.storage.tables import observations_schema
from muster.trial.group_keys import key_values
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from deltalake import DeltaTable


def table_group(workload: Workload, table: DeltaTable, days: Collection[date], group: str) -> pa.Table:
    """Return the group's rows of `days` with the columns of `observations`.

    Chosen by their keys, not by their own `group`: days that were ingested under other keys have another one. Of a
    column that is so new that the table does not have it yet the rows have no value.

    Raises:
        OtherRowIds: when they were named by other columns than `unique` has now.
    """
    schema, rows_there = observations_schema(workload), dataset(table)
    there = [name for name in schema.names if name in rows_there.schema.names]
    own = [pc.field(key) == value for key, value in key_values(workload, group).items()]
    rows = rows_there.to_table(columns=there, filter=reduce(and_, own, pc.field("date").isin(list(days))))
    for field in schema:
        if field.name not in there:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    rows = rows.select(schema.names).cast(schema)
    check_row_ids(workload, rows)
    rows = rows.set_column(schema.get_field_index("group"), schema.field("group"), _names(workload, rows))
    return rows.filter(pc.equal(rows["group"], group))


def table_groups(workload: Workload, table: DeltaTable, days: Collection[date]) -> set[str]:
    """Return all groups of the rows of `days`."""
    keys = list(workload.keys)
    rows = dataset(table).to_table(columns=keys, filter=pc.field("date").isin(list(days)))
    return set(_names(workload, rows.group_by(keys).aggregate([])).to_pylist())


def _names(workload: Workload, rows: pa.Table) -> pa.Array:
    return names([rows[key].combine_chunks() for key in workload.keys])
