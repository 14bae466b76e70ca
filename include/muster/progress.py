"""A line that tells how far a job is: written by the job, read by who shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "progress: "
_SECONDS_SHOWN_AS_MINUTES = 90

_LINE = re.compile(rf"{PREFIX}(?P<shown>\S.*)")


@dataclass(frozen=True)
class Step:
    """How far a stage is."""

    what: str
    """What is counted: groups, or rows."""
    total: int | None
    """How many there are in all; None where that is not known."""
    share: float
    """Of the work, that is done."""
    seconds_left: float

    def __str__(self) -> str:
        """Return the line, `progress: about 12,000 of 50,000 groups, 3 min left`."""
        done = f"{self.share:.0%} of the work" if self.total is None else self._counted(self.total)
        return f"{PREFIX}about {done}, {_time(self.seconds_left)} left"

    def _counted(self, total: int) -> str:
        return f"{round(self.share * total):,} of {total:,} {self.what}"


def shown_in(line: str) -> str | None:
    """Return what a job's line tells of its progress; None where it tells something else."""
    read = _LINE.fullmatch(line.strip())
    return read["shown"] if read else None


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _SECONDS_SHOWN_AS_MINUTES else f"{seconds / 60:.0f} min"
