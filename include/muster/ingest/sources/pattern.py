"""Find the files of days by the pattern of their paths: `/data/flights/date={date}/*.parquet`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property

from muster.ingest.sources import places
from muster.ingest.sources.places import Entry, State
from muster.workload.source import DATE

EXAMPLE = "2024-01-08"
_WILD = re.compile(r"\{date\}|[*?]")


@dataclass(frozen=True)
class Listing:
    """What lies where a pattern leads to."""

    files: dict[date, list[str]] = field(default_factory=dict)
    """The paths of each day, sorted."""
    states: dict[str, State] = field(default_factory=dict)
    """Those of the files that the listing itself has told, as an object store's does: nobody has to ask again."""
    passed_over: list[str] = field(default_factory=list)
    """What has another name than the pattern asks for, below its fixed folder; not what begins with `.` or `_`."""


@dataclass(frozen=True)
class Pattern:
    """A path with `{date}`, in which `*` and `?` stand for parts of a name."""

    text: str

    @cached_property
    def place(self) -> str:
        """The folder above the first name that is not fixed."""
        return "/".join(self._parts[: self._fixed]) or "/"

    @property
    def named_as(self) -> str:
        """What a path below `place` may be called."""
        return self.of(date.fromisoformat(EXAMPLE)).removeprefix(self.place).lstrip("/")

    def of(self, day: date) -> str:
        """Return the pattern with a day written in."""
        return self.text.replace(DATE, str(day))

    def find(self, days: Collection[date] | None = None) -> Listing:
        """Return the files of some days, of all when None. A folder is listed once, whatever the number of days.

        Raises:
            OSError: when a folder cannot be listed; one that is not there has no files.
        """
        listing = Listing()
        for day, path, state in self._below(self.place, self._fixed, None, days, listing.passed_over):
            listing.files.setdefault(day, []).append(path)
            if state is not None:
                listing.states[path] = state
        for paths in listing.files.values():
            paths.sort()
        listing.passed_over.sort()
        return listing

    @cached_property
    def _parts(self) -> list[str]:
        return self.text.split("/")

    @cached_property
    def _fixed(self) -> int:
        return next(place for place, part in enumerate(self._parts) if _WILD.search(part))

    def _below(
        self, folder: str, at: int, day: date | None, days: Collection[date] | None, passed_over: list[str]
    ) -> Iterator[tuple[date, str, State | None]]:
        """Yield the day, path and listed state of each file below a folder that has the first `at` names."""
        last = at == len(self._parts) - 1
        for name, is_folder, state in _entries(folder, self._parts[at]):
            path = f"{folder.rstrip('/')}/{name}"
            matching, own = _day_of(self._parts[at], name)
            if not matching or (own or day) != (day or own) or not (last or is_folder):
                passed_over.append(path.removeprefix(self.place).lstrip("/"))
            elif own is not None and days is not None and own not in days:
                continue
            elif not last:
                yield from self._below(path, at + 1, own or day, days, passed_over)
            elif (of_day := own or day) is not None:
                yield of_day, path, state


def _entries(folder: str, part: str) -> Iterator[Entry]:
    """Yield what a folder has under the names that a part of a pattern may mean."""
    if not _WILD.search(part):
        is_folder = places.is_folder(f"{folder}/{part}")
        if is_folder is not None:
            yield Entry(part, is_folder)
        return
    for entry in places.entries(folder):
        # Hidden ones are still being written, or are marks: `_SUCCESS`, `._COPYING_`.
        if entry.name[0] not in "._" or entry.name[0] == part[0]:
            yield entry


def _day_of(part: str, name: str) -> tuple[bool, date | None]:
    """Return whether a name is as a part of a pattern, and the day in it."""
    match = _expression(part).fullmatch(name)
    if match is None:
        return False, None
    if DATE not in part:
        return True, None
    with suppress(ValueError):
        return True, date.fromisoformat(match["date"])
    return False, None


@cache
def _expression(part: str) -> re.Pattern[str]:
    written = {DATE: r"(?P<date>\d{4}-\d{2}-\d{2})", "*": ".*", "?": "."}
    expression, at = "", 0
    for wild in _WILD.finditer(part):
        expression += re.escape(part[at : wild.start()]) + written[wild[0]]
        written[DATE] = "(?P=date)" if wild[0] == DATE else written[DATE]  # the same day wherever it stands
        at = wild.end()
    return re.compile(expression + re.escape(part[at:]), re.DOTALL)
