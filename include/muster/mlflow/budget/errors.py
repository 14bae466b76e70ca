"""Why a call got no response: the budget is spent, its response was lost, or the server fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ContextDecorator
from datetime import datetime
from types import TracebackType

from muster.errors import MusterError

LONGEST = 1000
"""Characters that are worth reading of what MLflow answers."""


class BudgetSpent(MusterError):
    """Raised when a call would have to wait longer than this process waits; run again at `until`, nothing is lost."""

    retryable = True

    def __init__(self, until: datetime, reason: str) -> None:
        self.until, self.why = until, reason
        super().__init__(f"no MLflow call before {until.isoformat(timespec='seconds')}: {reason}")


class ResponseLost(MusterError):
    """Raised when a call that creates something got no response: look whether it is there before creating it again."""

    retryable = True

    def __init__(self, method: str, url: str, problem: str) -> None:
        super().__init__(f"{method} {url}: {problem}; what it creates may be there or not: run this again")


class ServerUnavailable(MusterError):
    """Raised when a server went on failing for as long as this process waits."""

    retryable = True

    def __init__(self, method: str, url: str, attempts: int, problem: str) -> None:
        super().__init__(f"{method} {url}: {problem}, sent {attempts} times; see that MLflow runs, then run this again")


class MlflowRefused(MusterError):
    """Raised, where nobody expected it, for what MLflow answers to a call: something in it was deleted or changed."""

    retryable = True

    def __init__(self, error: Exception) -> None:
        # Of some errors the first line ends before the cause.
        told = " ".join(str(error).split()) or type(error).__name__
        super().__init__(f"MLflow refused a call: {told[:LONGEST]}; put that right in MLflow, then run this again")

    @classmethod
    def of(cls, error: BaseException) -> MlflowRefused | None:
        """Return an error of MLflow's client as Muster's; None for any other. Imports nothing."""
        exceptions = sys.modules.get("mlflow.exceptions")
        return cls(error) if exceptions and isinstance(error, exceptions.MlflowException) else None


class muster_errors(ContextDecorator):
    """Raise Muster's own error where MLflow's client has wrapped it: it turns every exception into its own."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, MusterError):
            return
        for cause in _causes(error):
            if isinstance(cause, (BudgetSpent, ResponseLost, ServerUnavailable)):
                raise cause from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error was raised from, or while it was being handled."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
