"""Read parquet, batch by batch, as the values that it holds."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from muster.ingest.formats.columns import check_columns
from muster.ingest.formats.opened import BadContent, opened_file
from muster.ingest.formats.typed_columns import check_types, declared
from muster.ingest.sources.kind import RowBlock
from muster.storage.object_store import NotAvailable
from muster.workload.spec import Workload

BATCH_ROWS = 65_536


def read(workload: Workload, file: str) -> Iterator[RowBlock]:
    """Yield a file's rows in their order.

    Raises:
        BadContent: when it is cut off, empty, a folder, or has other columns or types than declared.
        OSError: when the system does not give it.
    """
    try:
        with opened_file(file) as opened:
            # Times of 96 bits reach beyond what nanoseconds can say, and would be other years.
            parquet = pq.ParquetFile(opened, coerce_int96_timestamp_unit="us", page_checksum_verification=True)
            check_columns(workload, parquet.schema_arrow.names)
            check_types(workload, parquet.schema_arrow)
            for batch in parquet.iter_batches(BATCH_ROWS, columns=list(workload.columns)):
                yield RowBlock(declared(workload, batch))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of columns' names
        if isinstance(error, NotAvailable) or (isinstance(error, OSError) and error.errno is not None):
            raise  # it says nothing of what the file holds
        raise BadContent(f"is cut off or is not parquet that can be read ({str(error)[:200]})") from error
