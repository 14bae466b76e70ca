"""The errors that Muster raises: each takes data and builds its own message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

MAX_ITEMS = 10
"""How many items of a list an error message shows before it counts the rest."""


def bounded(items: Iterable[object], shown: int = MAX_ITEMS) -> str:
    """Join `items` with commas, cut after `shown` with a count of the rest."""
    texts = [str(item) for item in items]
    rest = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {rest} more" if rest > 0 else "")


class MusterError(Exception):
    """Raised for anything a user can put right; the command line prints it without a traceback."""

    retryable: ClassVar[bool] = False
    """Whether a retry may succeed although nothing is put right: a job that fails by it is worth another try."""


class WorkloadError(MusterError):
    """Raised when a workload's YAML does not hold: every problem at once, with its dotted path."""

    def __init__(self, file: str, problems: Sequence[tuple[str, str]]) -> None:
        self.file = file
        self.problems = list(problems)
        lines = [f"{file}: {path}: {problem}" for path, problem in self.problems]
        super().__init__("\n".join(lines))


class WrongArgument(MusterError):
    """Raised for an argument that cannot be right; the command line then exits with code 2, as for bad usage."""


class UnknownName(WrongArgument):
    """Raised when a name is none of those that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no {kind} '{name}'; there is: {bounded(sorted(known)) or 'none'}")
