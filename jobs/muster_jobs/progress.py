"""How far a stage's work is: a line in the log now and then, from what Spark says of its tasks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from muster.progress import Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUIET_SECONDS = 20.0
"""A stage says nothing before, and again only after so many seconds: short ones say nothing at all."""

POLL_SECONDS = 5.0
"""How often a session that is no Connect client is asked."""


def _to_log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the job's log


@dataclass
class Progress:
    """Tells how far a stage is, by the share of its tasks that have ended: bins of buckets that cost about the same."""

    what: str = "groups"
    """What is counted."""
    total: int | None = None
    """How many of them there are in all; None while that is not known."""
    tell: Callable[[str], None] = _to_log
    clock: Callable[[], float] = time.monotonic
    _told: tuple[float, float] = field(default=(0.0, 0.0))

    @contextmanager
    def watch(self, session: SparkSession, tasks: int | None = None) -> Iterator[None]:
        """Tell of the work that runs meanwhile: what is divided into so many tasks, or all that Spark does."""
        from pyspark.sql.utils import is_remote

        started = self.clock()
        self._told = (0.0, started)

        def ended(stages: Iterable[tuple[int, int]]) -> None:
            own = [(planned, done) for planned, done in stages if tasks in (None, planned)]
            self._tell(started, sum(done for _, done in own), sum(planned for planned, _ in own))

        if tasks == 1:  # which is done, or not
            yield
        elif is_remote():
            with _listening(session, ended):
                yield
        else:
            with _asking(session, ended):
                yield

    def _tell(self, started: float, done: int, tasks: int) -> None:
        share, (told, at), now = done / max(tasks, 1), self._told, self.clock()
        if told < share < 1 and now - at >= QUIET_SECONDS:
            self._told = (share, now)
            self.tell(str(Step(self.what, self.total, share, (now - started) * (1 - share) / share)))


Ended = Callable[[Iterable[tuple[int, int]]], None]
"""Called with each stage's tasks, and how many of them have ended."""


@contextmanager
def _listening(session: SparkSession, ended: Ended) -> Iterator[None]:
    def handler(stages: Iterable[Any] | None, **_: object) -> None:
        ended((stage.num_tasks, stage.num_completed_tasks) for stage in stages or ())

    session.registerProgressHandler(handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        session.removeProgressHandler(handler)  # type: ignore[arg-type]


@contextmanager
def _asking(session: SparkSession, ended: Ended) -> Iterator[None]:
    tracker, over = session.sparkContext.statusTracker(), threading.Event()

    def ask() -> None:
        while not over.wait(POLL_SECONDS):
            infos = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            ended((info.numTasks, info.numCompletedTasks) for info in infos if info is not None)

    thread = threading.Thread(target=ask, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
