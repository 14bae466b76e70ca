"""Read parquet, batch by batch, as the values that it holds."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types
from pyarrow.fs import FileSystem

from muster.errors import bounded
from muster.ingest.formats.columns import check_columns
from muster.ingest.formats.opened import BadContent, check_is_file
from muster.ingest.sources.kind import RowBlock
from muster.ingest.typed import is_text, plain, reads_as
from muster.workload.spec import Workload

BATCH_ROWS = 65_536


def read(workload: Workload, file: str) -> Iterator[RowBlock]:
    """Yield a file's rows in their order.

    Raises:
        BadContent: when it is cut off, empty, a folder, or has other columns or types than declared.
        OSError: when the system does not give it.
    """
    check_is_file(file)
    filesystem, path = FileSystem.from_uri(file)
    try:
        with filesystem.open_input_file(path) as opened:
            # Times of 96 bits reach beyond what nanoseconds can say, and would be other years.
            parquet = pq.ParquetFile(opened, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
            check_columns(workload, parquet.schema_arrow.names)
            _check_types(workload, parquet.schema_arrow)
            for batch in parquet.iter_batches(BATCH_ROWS, columns=list(workload.columns)):
                yield RowBlock(_declared(workload, batch))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of columns' names
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadContent(f"is cut off or is not parquet that can be read ({str(error)[:200]})") from error


def _check_types(workload: Workload, schema: pa.Schema) -> None:
    other, nested = [], False
    for name, column in workload.columns.items():
        arrived = schema.field(name).type
        if not reads_as(arrived, column.type):
            other.append(f"'{name}' is {arrived}, declared is {column.type}")
            nested = nested or types.is_nested(arrived)
    if other:
        advice = "; nested columns are not read" if nested else ""
        raise BadContent(f"has columns of other types than {workload.name} declares: {bounded(other, 5)}{advice}")


def _declared(workload: Workload, batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [plain(batch.column(name)) for name in workload.columns]
    for name, column in zip(workload.columns, columns, strict=True):
        if is_text(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise BadContent(f"holds text that is not UTF-8 in the column '{name}'") from error
    return pa.record_batch(columns, names=list(workload.columns))
