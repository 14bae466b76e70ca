"""The errors that Muster raises: each takes data and builds its own message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

MAX_ITEMS = 10
"""How many items of a list an error message shows before it counts the rest."""


MAX_REASON_LENGTH = 300
"""Characters of a reason that a table keeps."""


def bounded(items: Iterable[object], shown: int = MAX_ITEMS) -> str:
    """Join `items` with commas, cut after `shown` with a count of the rest: a line, whatever names there are."""
    texts = [_printable(str(item)) for item in items]
    rest = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {rest} more" if rest > 0 else "")


def reason_of(error: BaseException) -> str:
    """Return an error's message as one bounded line of valid Unicode."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(no message: it raises as well)"
    return bounded_line(text.encode(errors="replace").decode() or "(no message)")


def _printable(text: str) -> str:
    """Return the text with what would break a line or a terminal written as Python does."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def bounded_line(text: str) -> str:
    """Return the text, cut where it is too long for a reason."""
    return text if len(text) <= MAX_REASON_LENGTH else text[: MAX_REASON_LENGTH - 3] + "..."


class MusterError(Exception):
    """Raised for anything a user can put right; the command line prints it without a traceback."""

    retryable: ClassVar[bool] = False
    """Whether a retry may succeed although nothing is put right: a job that fails by it is worth another try."""


class Stopped(SystemExit):
    """Raised where a signal ends this process, to be told from code of one's own that ends it."""


def let_through(error: BaseException) -> None:
    """Raise again what is not the doing of the code that was called: Ctrl-C, and a signal that ends this process.

    All else is: also what is no `Exception`, as the panics of libraries in Rust are none.
    """
    if isinstance(error, (KeyboardInterrupt, Stopped)):
        raise error


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
