"""One MLflow server's budget as a process sees it: take a call, say how it ended, wait with patience."""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from muster.mlflow.budget.call_log import CallLog
from muster.mlflow.budget.errors import BudgetSpent
from muster.mlflow.budget.pace import retry_after
from muster.settings import Settings, settings
from muster.settings.limits import CLASSES, CallClass, CallRates, Waiting

_LOOK_AGAIN = 0.02
"""Seconds after which a process looks for room again: a call that is on its way may be answered any moment."""
_numbers = itertools.count()


@dataclass
class Taken:
    """A call that was taken."""

    call_class: CallClass
    name: str
    sent: float
    struck: bool
    """Whether the server throttled the class's calls before this one."""


@dataclass
class Patience:
    """How long a call may wait in all; the time that sending it takes is not counted."""

    left: float
    """Seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
        began = time.monotonic()
        time.sleep(seconds)
        self.left -= time.monotonic() - began


class Budget:
    """The calls that all processes of this host may send to one MLflow server."""

    def __init__(self, server: str, home: Path, rates: CallRates, share: float, waiting: Waiting) -> None:
        self.server, self.waiting = server, waiting
        self._rates, self._share = rates, share
        self._log = CallLog(home.resolve() / "budget" / f"{re.sub(r'[^A-Za-z0-9.-]', '_', server)}.sqlite")

    @contextmanager
    def take(self, call_class: CallClass, patience: Patience) -> Iterator[Taken]:
        """Wait for a call and hold it while it is sent and answered.

        Raises:
            BudgetSpent: when that would take longer than the patience.
        """
        taken = self._wait(call_class, patience)
        try:
            yield taken
        finally:
            self._log.answered(call_class, taken.name)

    def _wait(self, call_class: CallClass, patience: Patience) -> Taken:
        name = f"{os.getpid()}-{next(_numbers)}-{time.time_ns()}"
        calls_a_second = self._rates.of(call_class) * self._share
        while True:
            sent = time.time()
            room = self._log.take(call_class, name, calls_a_second, self.waiting.recovery)
            if not room.wait:
                return Taken(call_class, name, sent, room.pace.strikes > 0)
            closed = room.pace.is_closed(sent)
            if room.wait > patience.left and closed:
                raise self._spent(call_class, room.wait, room.pace.why)
            if room.wait > patience.left:
                raise self._spent(call_class, self.waiting.longest_pause, "used up by other processes")
            # Whoever waits for the server to open again comes back at a time of its own.
            patience.sleep(room.wait + self._jitter() if closed else room.wait if room.wait <= 1 else _LOOK_AGAIN)

    def _jitter(self) -> float:
        return random.uniform(0, self.waiting.first_pause)  # noqa: S311 - not for secrets

    def _spent(self, call_class: CallClass, wait: float, why: str) -> BudgetSpent:
        until = datetime.fromtimestamp(time.time() + max(wait, self.waiting.first_pause), UTC)
        return BudgetSpent(until, f"calls of class '{call_class}' to {self.server} are {why}")

    def throttled(self, taken: Taken, headers: Mapping[str, str]) -> None:
        """Cut and close a class, for all processes, after a 429."""
        now = time.time()
        asked = retry_after(headers.get("Retry-After"), headers.get("Date"), now)
        with self._log.change_pace(taken.call_class) as pace:
            pace[0] = pace[0].throttled(taken.sent, now, asked, self.waiting)

    def unavailable(self, headers: Mapping[str, str]) -> None:
        """Close all classes where a server that is not well says for how long."""
        now = time.time()
        asked = retry_after(headers.get("Retry-After"), headers.get("Date"), now)
        for call_class in CLASSES if asked else ():
            with self._log.change_pace(call_class) as pace:
                pace[0] = pace[0].closed(now, asked or 0.0, "put off")

    def let_through(self, taken: Taken) -> None:
        """Note that the server took a call: the next 429 is the first again."""
        if taken.struck:
            with self._log.change_pace(taken.call_class) as pace:
                if taken.sent > pace[0].cut_at:
                    pace[0] = replace(pace[0], strikes=0)

    def closed_until(self) -> BudgetSpent | None:
        """Return until when the server wants no calls of some class, and why; None while all are open."""
        now = time.time()
        paces = {name: self._log.pace(name) for name in CLASSES}
        closed = {name: pace for name, pace in paces.items() if pace.is_closed(now)}
        if not closed:
            return None
        last = max(closed, key=lambda name: closed[name].closed_until)
        return self._spent(last, closed[last].closed_until - now, closed[last].why)


def budget(server: str | None = None, given: Settings | None = None) -> Budget:
    """Return the budget of an MLflow server, by default that of the settings; every process shares it by its file."""
    own = given or settings()
    return _opened(
        address(server or own.mlflow_tracking_uri),
        own.home,
        own.mlflow_budget,
        own.mlflow_share,
        own.mlflow_waiting,
        os.getpid(),
    )


def address(url: str) -> str:
    """Return the host and port of a URL, without names and passwords: what tells one server from another."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.hostname or url}{f':{port}' if port else ''}"


@lru_cache(maxsize=16)
def _opened(server: str, home: Path, rates: CallRates, share: float, waiting: Waiting, pid: int) -> Budget:
    # A process that was forked opens its own: SQLite's connections do not survive it.
    return Budget(server, home, rates, share, waiting)
