"""What keeps a call from being answered, told apart: wait and come back, look first, or mend the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator
from datetime import datetime
from types import TracebackType

from muster.errors import MusterError


class BudgetSpent(MusterError):
    """Raised when a call would have to wait longer than this process waits; run again at `until`, nothing is lost."""

    retryable = True

    def __init__(self, until: datetime, why: str) -> None:
        self.until, self.why = until, why
        super().__init__(f"no MLflow call before {until.isoformat(timespec='seconds')}: {why}")


class AnswerLost(MusterError):
    """Raised when a call that makes something was sent and not answered: look whether it is there, then make it."""

    retryable = True

    def __init__(self, method: str, url: str, how: str) -> None:
        super().__init__(f"{method} {url}: {how}; what it makes may be there or not: run this again")


class Unanswered(MusterError):
    """Raised when a server went on failing for as long as this process waits."""

    retryable = True

    def __init__(self, method: str, url: str, tries: int, how: str) -> None:
        super().__init__(f"{method} {url}: {how}, sent {tries} times; see that MLflow runs, then run this again")


class muster_errors(ContextDecorator):
    """Raise Muster's own error where MLflow's client has wrapped it: it turns every exception into its own."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, MusterError):
            return
        for behind in _behind(error):
            if isinstance(behind, (BudgetSpent, AnswerLost, Unanswered)):
                raise behind from None


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error was raised from, or while it was being handled."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
