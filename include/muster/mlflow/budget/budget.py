"""One MLflow server's budget as a process sees it: acquire a permit for each call, record how the server answered."""

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

_POLL_SECONDS = 0.02
"""Seconds after which a process tries again to get a permit: a call in flight may be answered any moment."""
_numbers = itertools.count()


@dataclass
class Permit:
    """The right to send one call."""

    call_class: CallClass
    name: str
    sent: float
    after_throttling: bool
    """Whether the server throttled the class's last call before this one."""


@dataclass
class RemainingWait:
    """How long a call may wait in all; the time that sending it takes is not counted."""

    seconds: float

    def sleep(self, seconds: float) -> None:
        """Wait."""
        began = time.monotonic()
        time.sleep(seconds)
        self.seconds -= time.monotonic() - began


class Budget:
    """The calls that all processes of this host may send to one MLflow server."""

    def __init__(self, server: str, home: Path, rates: CallRates, share: float, waiting: Waiting) -> None:
        self.server, self.waiting = server, waiting
        self._rates, self._share = rates, share
        self._log = CallLog(home.resolve() / "budget" / f"{re.sub(r'[^A-Za-z0-9.-]', '_', server)}.sqlite")

    @contextmanager
    def acquire(self, call_class: CallClass, remaining: RemainingWait) -> Iterator[Permit]:
        """Wait for a permit, and count its call as in flight until the context ends.

        Raises:
            BudgetSpent: when that would take longer than the remaining wait.
        """
        permit = self._wait(call_class, remaining)
        try:
            yield permit
        finally:
            self._log.completed(call_class, permit.name)

    def _wait(self, call_class: CallClass, remaining: RemainingWait) -> Permit:
        name = f"{os.getpid()}-{next(_numbers)}-{time.time_ns()}"
        calls_a_second = self._rates.of(call_class) * self._share
        while True:
            sent = time.time()
            acquisition = self._log.acquire(call_class, name, calls_a_second, self.waiting.recovery)
            if not acquisition.wait:
                return Permit(call_class, name, sent, acquisition.pace.throttles > 0)
            closed = acquisition.pace.is_closed(sent)
            if acquisition.wait > remaining.seconds and closed:
                raise self._spent(call_class, acquisition.wait, acquisition.pace.why)
            if acquisition.wait > remaining.seconds:
                raise self._spent(call_class, self.waiting.longest_pause, "used up by other processes")
            # Whoever waits for the server to open again comes back at a time of its own.
            pause = acquisition.wait if closed or acquisition.wait <= 1 else _POLL_SECONDS
            remaining.sleep(pause + self._jitter() if closed else pause)

    def _jitter(self) -> float:
        return random.uniform(0, self.waiting.first_pause)  # noqa: S311 - not for secrets

    def _spent(self, call_class: CallClass, wait: float, reason: str) -> BudgetSpent:
        until = datetime.fromtimestamp(time.time() + max(wait, self.waiting.first_pause), UTC)
        return BudgetSpent(until, f"calls of class '{call_class}' to {self.server} are {reason}")

    def record_throttling(self, permit: Permit, headers: Mapping[str, str]) -> None:
        """Cut and close a class, for all processes, after a 429."""
        now = time.time()
        seconds = retry_after(headers.get("Retry-After"), headers.get("Date"), now)
        with self._log.change_pace(permit.call_class) as pace:
            pace[0] = pace[0].throttled(permit.sent, now, seconds, self.waiting)

    def record_unavailability(self, headers: Mapping[str, str]) -> None:
        """Close all classes after a server error, where the server says for how long."""
        now = time.time()
        seconds = retry_after(headers.get("Retry-After"), headers.get("Date"), now)
        for call_class in CLASSES if seconds else ():
            with self._log.change_pace(call_class) as pace:
                pace[0] = pace[0].closed(now, seconds or 0.0, "put off")

    def record_success(self, permit: Permit) -> None:
        """Reset the count of throttled calls: the server accepted one."""
        if permit.after_throttling:
            with self._log.change_pace(permit.call_class) as pace:
                if permit.sent > pace[0].cut_at:
                    pace[0] = replace(pace[0], throttles=0)

    def closure(self) -> BudgetSpent | None:
        """Return until when the server wants no calls of some class, and why; None while all are open."""
        now = time.time()
        paces = {name: self._log.pace(name) for name in CLASSES}
        closed = {name: pace for name, pace in paces.items() if pace.is_closed(now)}
        if not closed:
            return None
        last = max(closed, key=lambda name: closed[name].closed_until)
        return self._spent(last, closed[last].closed_until - now, closed[last].why)


def budget(server: str | None = None, of: Settings | None = None) -> Budget:
    """Return the budget of an MLflow server, by default that of the settings; every process shares it by its file."""
    effective = of or settings()
    return _opened(
        address(server or effective.mlflow_tracking_uri),
        effective.home,
        effective.mlflow_budget,
        effective.mlflow_share,
        effective.mlflow_waiting,
        os.getpid(),
    )


def address(url: str) -> str:
    """Return the host and port of a URL, without names and passwords: what identifies a server."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.hostname or url}{f':{port}' if port else ''}"


@lru_cache(maxsize=16)
def _opened(server: str, home: Path, rates: CallRates, share: float, waiting: Waiting, pid: int) -> Budget:
    # A process that was forked opens its own: SQLite's connections do not survive it.
    return Budget(server, home, rates, share, waiting)
