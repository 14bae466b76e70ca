"""Deliver a workload's daily files by its own function, as the upstream would: each whole or not there."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from muster.context import Context
from muster.errors import MusterError, bounded
from muster.ingest.sources.kind import Source
from muster.ingest.sources.kinds import source_of
from muster.workload.functions import function
from muster.workload.own_code import own_code
from muster.workload.spec import Workload

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".csv.gz"
"""A landed file is `<date>.csv.gz`: UTF-8, a header line, one row an observation."""


class NoLanding(MusterError):
    """Raised when a workload that declares no landing function is to land its data."""

    def __init__(self, workload: str, source: Source) -> None:
        super().__init__(
            f"workload '{workload}' declares no 'landing': its files are delivered by another system; "
            f"put them into '{source.place}', each day's as {source.named_as}"
        )


class BadDelivery(MusterError):
    """Raised when a landing function yields what is no day with its rows."""

    def __init__(self, workload: Workload, problem: str) -> None:
        super().__init__(
            f"landing function '{workload.landing}' of {workload.name} {problem}; it yields a pair for each day: "
            f"(datetime.date, DataFrame of the declared columns)"
        )


@dataclass(frozen=True)
class LandingReport:
    """What a delivery did."""

    folder: str
    """A path, or a URI."""
    written: int
    """Files that were not there before."""
    days: int
    """Days that have a file now."""


def land(context: Context) -> LandingReport:
    """Deliver the files that the workload's landing function yields and that are not there yet.

    The function takes the set of landed days and yields (date, DataFrame of the declared
    columns). A file is there whole or not at all; the same rows give the same bytes.

    Raises:
        NoLanding: when the workload declares none: with the folder that its files belong in.
        FunctionNotFound: when what it declares is not there.
        OwnCodeFailed: when it raises: with the line.
        BadDelivery: when it yields anything else.
    """
    workload, store = context.workload, context.store
    if not workload.landing:
        raise NoLanding(workload.name, source_of(context))
    landed, written = source_of(context).days(), 0
    for item in _delivered(context, frozenset(landed)):
        day, rows = _day_with_rows(workload, item)
        if day in landed:
            continue
        text = rows.to_csv(index=False, columns=list(workload.columns), lineterminator="\n")
        # mtime=0: the time of writing is no part of the file.
        data = gzip.compress(text.encode(), compresslevel=6, mtime=0)
        store.files.put(f"{store.landing}/{day}{SUFFIX}", data)
        landed.add(day)
        written += 1
    return LandingReport(store.uri(store.landing), written, len(landed))


def _day_with_rows(workload: Workload, item: Any) -> tuple[date, pd.DataFrame]:
    """Return what a landing function has yielded, if it is a day with the declared columns."""
    import pandas as pd  # half a second: not in every process that reads what has landed

    if not (isinstance(item, tuple) and len(item) == 2):
        raise BadDelivery(workload, f"yields a {type(item).__name__}")
    day, rows = item
    if not isinstance(day, date) or isinstance(day, datetime):
        raise BadDelivery(workload, f"yields a {type(day).__name__} as day")
    if not isinstance(rows, pd.DataFrame):
        raise BadDelivery(workload, f"yields a {type(rows).__name__} as rows of {day}")
    if missing := [name for name in workload.columns if name not in rows.columns]:
        raise BadDelivery(workload, f"yields rows of {day} without the columns {bounded(missing)}")
    return day, rows


def _delivered(context: Context, landed: frozenset[date]) -> Iterator[Any]:
    reference = context.workload.landing
    deliver = function(context.workload, context.folder, reference)
    end = object()
    with own_code(context.workload, context.folder, reference):
        days = iter(deliver(landed))
    while True:
        # Each by itself: GeneratorExit, by which this generator is closed, is none of the function's errors.
        with own_code(context.workload, context.folder, reference):
            item = next(days, end)
        if item is end:
            return
        yield item
