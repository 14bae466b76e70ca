"""What made a job fail, in one line for whoever has to act, also where it was raised on Spark."""

from __future__ import annotations

import errno
import importlib
import os
import re
from collections.abc import Iterator

from muster.errors import MusterError
from muster.mlflow.budget import MlflowRefused

IN_A_WORKER = re.compile(
    r"Traceback \(most recent call last\):\n(?: [^\n]*\n)+"
    r"(?P<name>[\w.]+)(?:: (?P<text>.*?))?(?=\n SQLSTATE|\n+\tat |\n\n|\s*\Z)",
    re.DOTALL,
)
"""A traceback of Spark's Python workers as the driver gets it: as text, before the JVM's own."""
CONFLICT = re.compile(r"\[DELTA_(?:CONCURRENT_\w+|METADATA_CHANGED|PROTOCOL_CHANGED)")
"""What Delta says to a writer that another one came before, or made the table meanwhile."""
INTERRUPTED = "[OPERATION_CANCELED]"
"""Said of work that was stopped by its tag: an attempt begins by stopping what an earlier one has left."""
RESTARTED = "INVALID_HANDLE"
"""Said by a server that does not know a job's session, though the job was given one."""
OWN = ("muster.", "muster_jobs.")
NO_SPACE = os.strerror(errno.ENOSPC)
NO_ACCESS = tuple(os.strerror(number) for number in (errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO))
"""What the system says that refuses a file, whoever passes it on: Python, the JVM, Delta's own writer."""
LINES = 3
"""Lines of somebody else's error that are worth reading: then come stack traces."""


class DiskFull(MusterError):
    """Raised when there is no room for what a job writes."""

    retryable = True

    def __init__(self, where: str) -> None:
        super().__init__(f"{NO_SPACE}{where}: no table has changed; free some space, then run it again")


class LostServer(MusterError):
    """Raised when the Spark server was stopped, killed or restarted while a job used it."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("the Spark server went away, or was restarted, while this ran: see its log, then run it again")


class TakenOver(MusterError):
    """Raised when this job's work on Spark was stopped by another attempt of the same stage and partition.

    It is not worth another try: that would stop the other attempt in its turn.
    """

    def __init__(self) -> None:
        super().__init__("another attempt of this stage took over, and this one's work was stopped: see that one's log")


class AlwaysOthersFirst(MusterError):
    """Raised when a table was written to by others each time that this job tried to."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("others wrote to the same rows or made the table meanwhile, each time; run it again")


class Refused(MusterError):
    """Raised for an error of Muster's own that is no `MusterError`, or was raised in one of Spark's workers."""

    def __init__(self, name: str, text: str) -> None:
        module, _, kind = name.rpartition(".")
        raised = getattr(importlib.import_module(module), kind, None)
        self.retryable = getattr(raised, "retryable", False)  # type: ignore[misc] - of this one error
        super().__init__(text)


class CannotAccess(MusterError):
    """Raised when the system refuses a file."""

    retryable = True

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; see to it, then run it again")


def known_failure(error: BaseException) -> MusterError | None:
    """Return an error as one that says what to do, None for one that nobody has foreseen."""
    if isinstance(error, MusterError):
        return error
    text = "\n".join(map(str, _with_causes(error)))
    if NO_SPACE in text:
        return DiskFull(_place(text, NO_SPACE))
    if is_conflict(error):
        return AlwaysOthersFirst()
    if (refused := MlflowRefused.of(error)) is not None:
        return refused
    kind = type(error)
    name, message = _raised_in_a_worker(text) or (f"{kind.__module__}.{kind.__qualname__}", str(error))
    if name.startswith(OWN):
        return Refused(name, message)
    if message.startswith("[Errno "):
        return CannotAccess(message)
    for words in NO_ACCESS:
        if words in text:
            return CannotAccess(f"{words}{_place(text, words)}")
    return _of_the_server(error, text)


def _of_the_server(error: BaseException, text: str) -> MusterError | None:
    if not _is_of_spark(error):
        return None
    if RESTARTED in text or _lost_server():
        return LostServer()
    return TakenOver() if INTERRUPTED in text else None


def in_one_line(error: BaseException) -> str:
    """Return an unforeseen error's class and first lines, those of a worker's where it was raised there."""
    raised = _raised_in_a_worker(str(error))
    name, text = raised or (type(error).__name__, str(error))
    return f"{name}: {' '.join(text.strip().splitlines()[:LINES])}"


def is_conflict(error: BaseException) -> bool:
    """Tell whether a write failed only because another came first: the same write may succeed now."""
    from deltalake.exceptions import CommitFailedError

    return isinstance(error, CommitFailedError) or (_is_of_spark(error) and bool(CONFLICT.search(str(error))))


def _is_of_spark(error: BaseException) -> bool:
    """Tell it without importing pyspark, which a job without a session does without."""
    return any(kind.__module__.startswith(("pyspark.", "grpc.")) for kind in type(error).__mro__)


def _raised_in_a_worker(text: str) -> tuple[str, str] | None:
    raised = list(IN_A_WORKER.finditer(text))
    return (raised[-1]["name"], raised[-1]["text"] or "") if raised else None


def _lost_server() -> bool:
    """Tell whether this job's Spark server has gone."""
    from muster_jobs.session import NoServer, require_server

    remote = os.environ.get("SPARK_REMOTE")
    if remote is None:  # with spark-submit this process ends with Spark
        return False
    try:
        require_server(remote)
    except NoServer:
        return True
    return False


def _place(text: str, words: str) -> str:
    """Return where: of a copy its target, and of the JVM's sentence, `/a/file (words)`, the file."""
    named = re.search(rf"{words}: '([^'\n]+)'(?: -> '([^'\n]+)')?", text)
    place = named[2] or named[1] if named else None
    if place is None and (of_java := re.search(rf": (/[^\n]*?) \({words}\)", text)):
        place = of_java[1]
    return f" at '{place}'" if place else ""


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
