"""Files as a source: which have arrived for a day, and their rows, whatever their format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from muster.errors import MusterError
from muster.ingest.formats import delimited, json_lines, parquet
from muster.ingest.formats.opened import BadContent
from muster.ingest.sources.kind import Arrival, Part, PassedOver, RowBlock
from muster.ingest.sources.pattern import Pattern
from muster.ingest.sources.places import State, state_of
from muster.settings.places import below_root
from muster.workload.source import WORKLOAD, Format
from muster.workload.spec import Workload

READERS: Mapping[Format, Callable[[Workload, str], Iterator[RowBlock]]] = {
    "csv": delimited.read,
    "tsv": delimited.read,
    "jsonl": json_lines.read,
    "parquet": parquet.read,
}


class BadFile(MusterError):
    """Raised when a landed file cannot be taken: nothing of its partition is written then."""

    def __init__(self, file: str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"landed file '{file}' {problem}; have it delivered again, then run ingest again")


@dataclass(frozen=True)
class FileSource:
    """Files by the pattern of their paths; a relative one is below the store's root."""

    workload: Workload
    root: str

    @property
    def place(self) -> str:
        return self._pattern.place

    @property
    def part(self) -> str:
        return "landed file"

    @property
    def named_as(self) -> str:
        return self._pattern.named_as

    def days(self) -> set[date]:
        return set((self._mark or self._pattern).find().files)

    def arrived(self, days: Collection[date]) -> dict[date, Arrival]:
        found, of_days = self._pattern.find(days), self._mark
        files = found.files
        marked = of_days.find(days).files if of_days else {}
        arrivals = {}
        for day in sorted({*files, *marked}):
            mark = marked.get(day, [])
            paths = [path for path in files.get(day, []) if path not in mark]
            lacks = of_days.of(day) if of_days and not mark else None
            if not paths and self._others(day, found.passed_over, mark):  # not a day without rows: they are not seen
                lacks = self._pattern.of(day)
            arrivals[day] = replace(self._arrival(day, paths, mark, found.states), lacks=lacks)
        return arrivals

    def read(self, arrival: Arrival) -> Iterator[RowBlock]:
        read = READERS[self.workload.source.read_as or "csv"]
        for part in arrival.parts:
            if not _is_utf_8(part.place):
                shown = part.place.encode(errors="replace").decode()
                raise BadFile(shown, "has a name that is not UTF-8, which no table can hold; rename it")
            try:
                for block in _numbered(read(self.workload, part.place)):
                    yield replace(block, file=part.name)
            except BadContent as error:
                raise BadFile(part.place, str(error)) from error

    def read_group(self, arrival: Arrival, keys: Mapping[str, pa.Scalar]) -> None:
        return None

    def undated(self) -> int:
        return 0

    def passed_over(self) -> PassedOver:
        return PassedOver(tuple(self._pattern.find().passed_over), self.named_as)

    @property
    def _pattern(self) -> Pattern:
        return self._of_root(self.workload.source.files)

    @property
    def _mark(self) -> Pattern | None:
        """The pattern of the files that say that a day is complete, where there are such."""
        declared = self.workload.source
        beside = f"{declared.folder}/" if declared.folder else ""
        return self._of_root(f"{beside}{declared.complete}") if declared.complete else None

    def _others(self, day: date, passed_over: Sequence[str], mark: Sequence[str]) -> list[str]:
        """Return what lies among a day's files under a name that the pattern does not ask for."""
        return [name for name in passed_over if str(day) in name and f"{self.place.rstrip('/')}/{name}" not in mark]

    def _of_root(self, files: str) -> Pattern:
        return Pattern(below_root(self.root, files.replace(WORKLOAD, self.workload.name)))

    def _arrival(self, day: date, paths: Sequence[str], mark: Sequence[str], listed: Mapping[str, State]) -> Arrival:
        states = {path: listed.get(path) or state_of(path) for path in paths}
        times = [state.changed for state in (*states.values(), *map(state_of, mark))]
        known = [at for at in times if at is not None]
        # As the tables have it, in milliseconds.
        since = datetime.fromtimestamp(max(known) // 10**6 / 1000, UTC) if known and None not in times else None
        below = len(self.place.rstrip("/")) + 1
        parts = tuple(Part(path[below:], path) for path in paths)
        return Arrival(day, parts, self._delivery(parts, list(states.values())), since)

    def _delivery(self, parts: Sequence[Part], states: Sequence[State]) -> str:
        """Return what tells a day's files from others: sizes and times, and names where there may be many."""
        if not self.workload.source.many and len(states) == 1:
            return f"{states[0].bytes} bytes, {states[0].stamp}"
        lines = [f"{part.name} {state.bytes} {state.stamp}" for part, state in zip(parts, states, strict=True)]
        digest = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
        return f"{len(parts)} files, {sum(state.bytes or 0 for state in states)} bytes, {digest}"


def _numbered(blocks: Iterator[RowBlock]) -> Iterator[RowBlock]:
    """Number a file's rows, from 1 on; lines that are no rows have no number."""
    before = 0
    for block in blocks:
        after = before + block.rows.num_rows
        yield replace(block, numbers=pa.array(np.arange(before + 1, after + 1)))
        before = after


def _is_utf_8(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False
