"""Landed files: which days are to be ingested, and reading a file whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from csv import reader
from datetime import date

import numpy as np
import pyarrow as pa
from pyarrow import csv
from pyarrow.fs import FileSystem

from muster.context import Context, PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.arrivals import ingested_days
from muster.ingest.landing import SUFFIX, landed_days
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import DateRange


class BadFile(MusterError):
    """Raised when a landed file cannot be taken: nothing of its partition is written then."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"landed file '{file}' {problem}; have it delivered again, then run ingest again")


class NoFile(MusterError):
    """Raised when days of the partition's own slice were not delivered."""

    retryable = True

    def __init__(self, days: Sequence[date], folder: str) -> None:
        super().__init__(f"no landed file for {bounded(days)} in '{folder}'; run ingest again once they are delivered")


def days_to_ingest(context: PartitionContext) -> list[date]:
    """Return the days of the partition's slice, and the earlier landed days it needs that no ingest has brought yet.

    A file that was delivered again since it was ingested has not been brought either.

    Raises:
        NoFile: when a day of the slice has no file. Of earlier days, those that were never delivered are left out.
    """
    windows, store = context.windows, context.store
    own, landed = windows.score.days(), landed_days(store)
    missing = [day for day in own if day not in landed]
    if missing:
        raise NoFile(missing, store.landing())
    earlier = DateRange(windows.observed.start, windows.score.start)
    before = landed.intersection(earlier.days())
    return [*sorted(before - ingested_days(store, {day: landed_file(store, day) for day in before})), *own]


def landed_file(store: Store, day: date) -> str:
    """Return the path of a day's landed file."""
    return f"{store.landing()}/{day}{SUFFIX}"


def landed_schema(workload: Workload) -> pa.Schema:
    """Return the columns that a landed file is read as: `landed` holds its text, by declared column."""
    text = pa.struct([(name, pa.string()) for name in workload.columns])
    return pa.schema([("day", pa.date32()), ("file", pa.string()), ("line", pa.int64()), ("landed", text)])


def check_files(workload: Workload, files: Iterable[str]) -> None:
    """Read every file once and keep nothing, so that a bad one is found before any table is written to.

    Raises:
        BadFile: for the first bad file, in the order given.
    """
    with ThreadPoolExecutor() as pool:  # decompressing and parsing run outside Python's lock
        for _ in pool.map(lambda file: read_text(workload, file).num_rows, files):
            pass


def read_landed(context: Context, day: date) -> pa.Table:
    """Return a day's file as `landed_schema`; `line` counts its rows from 1.

    Raises:
        BadFile: when it is cut off, empty, not UTF-8, or has other columns than the declared ones.
    """
    workload, file = context.workload, landed_file(context.store, day)
    text = read_text(workload, file)
    names = list(workload.columns)
    columns = [text[name].combine_chunks() for name in names]
    rows = {
        "day": pa.repeat(pa.scalar(day, pa.date32()), text.num_rows),
        "file": pa.repeat(file.rsplit("/", 1)[-1], text.num_rows),
        "line": pa.array(np.arange(1, text.num_rows + 1)),
        "landed": pa.StructArray.from_arrays(columns, names),
    }
    return pa.table(rows, schema=landed_schema(workload))


def read_text(workload: Workload, file: str) -> pa.Table:
    """Return a landed file's declared columns as text, an empty field as null and `""` as the empty text.

    Raises:
        BadFile: as `read_landed` does.
    """
    content = _content(file)
    _check_header(workload, file, content)
    try:
        return csv.read_csv(
            pa.BufferReader(content),
            # One block, one thread: an error then names the row, and no row is cut at a block's end.
            csv.ReadOptions(use_threads=False, block_size=len(content) + 1),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(workload.columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise BadFile(file, f"does not read as CSV in UTF-8: {str(error)[:200]}") from error


def _content(file: str) -> bytes:
    filesystem, path = FileSystem.from_uri(file)
    if filesystem.get_file_info(path).size == 0:
        raise BadFile(file, "is empty (0 bytes)")
    try:
        with filesystem.open_input_stream(path, compression="gzip") as stream:
            # Arrow takes an empty last field for a quoted one where no line's end follows it.
            return bytes(stream.read()).removesuffix(b"\n") + b"\n"
    except OSError as error:
        raise BadFile(file, f"is cut off or is not gzip ({error})") from error


def _check_header(workload: Workload, file: str, content: bytes) -> None:
    first = content.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    header = Counter(next(reader([first]), []))
    declared = set(workload.columns)
    problems = {
        "lacks": declared - header.keys(),
        "has the undeclared": header.keys() - declared,
        "has more than once": {name for name, times in header.items() if times > 1},
    }
    differences = [f"{problem} {bounded(sorted(names))}" for problem, names in problems.items() if names]
    if differences:
        raise BadFile(file, f"has other columns than {workload.name} declares: {'; '.join(differences)}")
    if content.count(b'"') % 2:
        raise BadFile(file, "ends within a quoted field")
