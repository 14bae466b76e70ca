"""What every kind of source answers: what has arrived for a day, and the rows of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import pyarrow as pa

from muster.errors import bounded
from muster.storage.store import TableVersion


@dataclass(frozen=True)
class Part:
    """A part of what has arrived for a day, read by itself: a file."""

    name: str
    """What it is called in `quarantine`."""
    place: str
    """Where it is read."""
    version: TableVersion | None = None
    """Of a table, the version that is read."""


@dataclass(frozen=True)
class Arrival:
    """What has arrived for a day. Plain data: it travels to the executors, which read just these parts."""

    day: date
    parts: tuple[Part, ...]
    """In the order in which they are read."""
    delivery: str
    """What tells this delivery from another, without reading it: it is written down with the day's rows."""
    since: datetime | None
    """When the newest of it came; None where nobody knows."""
    lacks: str | None = None
    """What has to come until it is complete; None where it is."""
    settles_by: str | None = None
    """What of it has stopped to change once all has come, where the delivery may change by rows of other days too."""


@dataclass(frozen=True)
class RowBlock:
    """Some rows of a part."""

    rows: pa.RecordBatch
    """The declared columns, in the declared order, as they have arrived: each as text (a missing value is null), or
    as values of a type that `muster.ingest.typed` reads as the declared one."""
    misfits: Sequence[tuple[str, str]] = ()
    """Lines that are no rows of these columns: why, and the line."""
    file: str | None = None
    """The name of the part."""
    numbers: pa.Array | None = None
    """The rows' numbers in the part, from 1 on, where they are what tells rows apart; None where rows have no order."""


@dataclass(frozen=True)
class PassedOver:
    """What lies where days are looked for, and is none by its name."""

    names: tuple[str, ...] = ()
    named_as: str = ""
    """A name that a day's would have."""
    missing: str = ""
    """What is not there at all: a table."""

    def __str__(self) -> str:
        if not self.names:
            return f"; there is no {self.missing}" if self.missing else ""
        return f"; passed over, since a file is named as {self.named_as}: {bounded(self.names, 5)}"


def begun_without(lacking: Iterable[str | None]) -> str:
    """Return in words what days lack that have begun to arrive; nothing where none has."""
    names = [f"'{what}'" for what in lacking if what is not None]
    return f"; begun, but without {bounded(names, 3)}" if names else ""


class Source(Protocol):
    """Where a workload's rows come from."""

    @property
    def place(self) -> str:
        """Where days are looked for, for whoever has to deliver one."""

    @property
    def part(self) -> str:
        """What a part of a day is called: `landed file`."""

    @property
    def named_as(self) -> str:
        """What a day's delivery is called there: `2024-01-08.csv.gz`."""

    def days(self) -> set[date]:
        """Return all days of which a complete delivery has arrived."""

    def arrived(self, days: Collection[date]) -> Mapping[date, Arrival]:
        """Return what has arrived for some of the days, complete or not; those of which nothing has are left out."""

    def read(self, arrival: Arrival) -> Iterator[RowBlock]:
        """Yield the rows of what has arrived for a day, part by part.

        Raises:
            BadFile: when a part cannot be taken.
            OSError: when the system does not give it.
        """

    def read_group(self, arrival: Arrival, keys: Mapping[str, pa.Scalar]) -> Sequence[RowBlock] | None:
        """Return those rows of a day that have some keys' values, and maybe others; None where only all can be read."""

    def undated(self) -> int:
        """Return how many rows are there that are of no day, and so are never read."""

    def passed_over(self) -> PassedOver:
        """Return what is there and is not read for its name."""
