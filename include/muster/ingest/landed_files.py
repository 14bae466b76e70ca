"""Landed files: which days are to be ingested, and reading a file as text, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from pyarrow import csv
from pyarrow.fs import FileSystem, FileType

from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.arrivals import ingested_days
from muster.ingest.csv_rows import Block, NoRows, blocks, split_header
from muster.ingest.landing import SUFFIX, landed_days, misnamed_files, passed_over
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

    def __init__(self, days: Sequence[date], folder: str, misnamed: Sequence[str]) -> None:
        super().__init__(
            f"no landed file for {bounded(days)} in '{folder}'{passed_over(misnamed)}; "
            "run ingest again once they are delivered"
        )


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
        raise NoFile(missing, store.landing(), misnamed_files(store))
    earlier = DateRange(windows.observed.start, windows.score.start)
    return [*not_brought(store, landed.intersection(earlier.days())), *own]


def not_brought(store: Store, landed: AbstractSet[date]) -> list[date]:
    """Return those of the `landed` days that no ingest has brought as their files are now, in order."""
    return sorted(landed - ingested_days(store, {day: landed_file(store, day) for day in landed}))


def landed_file(store: Store, day: date) -> str:
    """Return the path of a day's landed file."""
    return f"{store.landing()}/{day}{SUFFIX}"


NO_FILE = {FileType.Directory: "is a folder, no file", FileType.Unknown: "is a pipe or a device, no file"}
"""Why there is nothing to read, though something has the name of a landed file."""
OPEN_QUOTE = "row: a quote is not closed, or not doubled"
MORE, FEWER = "row: more fields than columns", "row: fewer fields than columns"
"""Why a line is no row."""


@dataclass(frozen=True)
class TextBlock:
    """Rows of a landed file as text."""

    rows: pa.RecordBatch
    """The declared columns, in the declared order: an empty field is null, `""` the empty text."""
    misfits: list[tuple[str, str]]
    """Lines that are no rows of these columns: why, and the line."""


def check_files(workload: Workload, files: Iterable[str]) -> None:
    """Read every file once and keep nothing, so that a bad one is found before any table is written to.

    Raises:
        BadFile: for the first bad file, in the order given.
    """
    with ThreadPoolExecutor() as pool:  # decompressing and parsing run outside Python's lock
        for _ in pool.map(lambda file: sum(block.rows.num_rows for block in read_text(workload, file)), files):
            pass


def has_rows(workload: Workload, file: str) -> bool:
    """Return whether a landed file holds more than its header.

    Raises:
        BadFile: as `read_text` does.
    """
    return any(block.rows.num_rows or block.misfits for block in read_text(workload, file))


def read_text(workload: Workload, file: str) -> Iterator[TextBlock]:
    """Yield a landed file's rows in their order.

    Raises:
        BadFile: when it is cut off, empty, a folder, not UTF-8, or has other columns than the declared ones.
        OSError: when the system does not give it.
    """
    header: list[str] | None = None
    try:
        for block in _blocks(file):
            if header is None:
                header, block = split_header(block)
                _check_header(workload, file, header)
            yield _parse(workload, file, header, block)
    except NoRows as error:
        raise BadFile(file, str(error)) from error
    if header is None:
        _check_header(workload, file, [])


def _blocks(file: str) -> Iterator[Block]:
    filesystem, path = FileSystem.from_uri(file)
    info = filesystem.get_file_info(path)
    if info.type in NO_FILE:
        raise BadFile(file, NO_FILE[info.type])
    if info.size == 0:
        raise BadFile(file, "is empty (0 bytes)")
    try:
        with filesystem.open_input_stream(path, compression="gzip") as stream:
            yield from blocks(stream)
    except OSError as error:
        if error.errno is not None:  # the system refuses it: that says nothing of what it holds
            raise
        raise BadFile(file, f"is cut off or is not gzip ({error})") from error


def _check_header(workload: Workload, file: str, names: Sequence[str]) -> None:
    header, declared = Counter(names), set(workload.columns)
    if "" in header:
        raise BadFile(file, "has a header with a column without a name, as a comma at its start or end makes one")
    problems = {
        "lacks": declared - header.keys(),
        "has the undeclared": header.keys() - declared,
        "has more than once": {name for name, times in header.items() if times > 1},
    }
    differences = [f"{problem} {bounded(sorted(differing))}" for problem, differing in problems.items() if differing]
    if differences:
        raise BadFile(file, f"has other columns than {workload.name} declares: {'; '.join(differences)}")


def _parse(workload: Workload, file: str, header: Sequence[str], block: Block) -> TextBlock:
    """Return a block as text by column; a line with more or fewer fields than the header is a misfit."""
    misfits = [(OPEN_QUOTE, line.decode(errors="replace")) for line in block.broken]

    def leave_out(row: csv.InvalidRow) -> str:
        misfits.append((MORE if row.actual_columns > row.expected_columns else FEWER, row.text))
        return "skip"

    schema = pa.schema([(name, pa.string()) for name in workload.columns])
    rows = schema.empty_table()
    if block.rows.strip(b"\r\n"):
        try:
            # First, since Arrow drops a misfit that is not UTF-8 without a word.
            pa.array([block.rows], pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid as error:
            raise BadFile(file, "holds text that is not UTF-8; write it as UTF-8") from error
        try:
            rows = csv.read_csv(
                pa.BufferReader(block.rows),
                # One block, one thread: the rows stay in their order.
                csv.ReadOptions(use_threads=False, block_size=len(block.rows) + 1, column_names=header),
                csv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out),
                csv.ConvertOptions(
                    column_types=schema,
                    include_columns=schema.names,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise BadFile(file, f"does not read as CSV: {str(error)[:200]}") from error
    unfinished = block.unfinished.decode(errors="replace")
    if unfinished in [line for _, line in misfits]:
        raise BadFile(file, f"is cut off within its last row: '{unfinished[:200]}'")
    batches = rows.combine_chunks().to_batches()  # one, or none of no rows
    return TextBlock(batches[0] if batches else pa.RecordBatch.from_pylist([], schema), misfits)
