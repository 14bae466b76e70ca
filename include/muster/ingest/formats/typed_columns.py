"""Columns that arrive as values, of parquet and of tables: their types against the declared ones."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types

from muster.errors import bounded
from muster.ingest.formats.opened import BadContent
from muster.ingest.typed import is_text, plain, reads_as
from muster.workload.spec import Workload


def check_types(workload: Workload, schema: pa.Schema) -> None:
    """Check that the types of a file's columns read as the declared ones.

    Raises:
        BadContent: with those that do not.
    """
    other, nested = [], False
    for name, column in workload.columns.items():
        arrived = schema.field(name).type
        if not reads_as(arrived, column.type):
            other.append(f"'{name}' is {arrived}, declared is {column.type}")
            nested = nested or types.is_nested(arrived)
    if other:
        advice = "; nested columns are not read" if nested else ""
        raise BadContent(f"has columns of other types than {workload.name} declares: {bounded(other, 5)}{advice}")


def declared(workload: Workload, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the declared columns, as a `RowBlock` has them.

    Raises:
        BadContent: when one holds text that is not UTF-8.
    """
    columns = [plain(batch.column(name)) for name in workload.columns]
    for name, column in zip(workload.columns, columns, strict=True):
        if is_text(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise BadContent(f"holds text that is not UTF-8 in the column '{name}'") from error
    return pa.record_batch(columns, names=list(workload.columns))
