"""The rate of a class of call: cut after a 429, recovering with time, closed for as long as the server asks for."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

from pyrate_limiter import Rate

from muster.settings.limits import Waiting

CUT_FACTOR = 0.5
"""What is left of the rate after a 429."""
MIN_SHARE = 0.05
"""The share of the budget below which the rate is never cut: enough calls to notice that a server has recovered."""
MAX_CLOSED = 86_400.0
"""Seconds: a server that asks for more than a day gets a day."""
SECOND_MS = 1000
"""A budget's window in milliseconds."""


@dataclass(frozen=True)
class Pace:
    """The state of one class of call that all processes share. Times are seconds since 1970."""

    factor: float = 1.0
    """The share of the budget right after the last cut."""
    cut_at: float = 0.0
    throttles: int = 0
    """Throttled calls one after another, with none between that the server accepted."""
    closed_until: float = 0.0
    why: str = ""

    def share(self, now: float, recovery: float) -> float:
        """Return the share of the budget that may be used at `now`: it grows with the time since the last cut."""
        return min(1.0, self.factor + max(0.0, now - self.cut_at) / recovery)

    def throttled(self, sent: float, now: float, requested: float | None, waiting: Waiting) -> Pace:
        """Return the pace after a 429 for a call that was sent at `sent`.

        `requested` are the seconds that the server asks to wait, None where it does not say. Calls that
        were in flight when the pace was cut do not cut it again.
        """
        if sent <= self.cut_at:
            return self.closed(now, requested or 0.0, "throttled")
        pause = min(waiting.longest_pause, waiting.first_pause * 2.0**self.throttles) * random.uniform(0.5, 1.0)  # noqa: S311
        cut = max(MIN_SHARE, self.share(now, waiting.recovery) * CUT_FACTOR)
        after = replace(self, factor=cut, cut_at=now, throttles=min(self.throttles + 1, 30))
        return after.closed(now, max(requested or 0.0, pause), "throttled")

    def closed(self, now: float, seconds: float, cause: str) -> Pace:
        """Return the pace with no call before `seconds` are over; what was closed for longer stays so."""
        until = now + min(seconds, MAX_CLOSED)
        if until <= self.closed_until:
            return self
        return replace(self, closed_until=until, why=f"{cause} by the server")

    def is_closed(self, now: float) -> bool:
        """Return whether no call may be sent; a time beyond MAX_CLOSED is due to a clock that was set back."""
        return now < self.closed_until <= now + MAX_CLOSED


def rate(calls_a_second: float) -> Rate:
    """Return the limit for a figure: whole calls in a second, or one call in a longer time."""
    if calls_a_second >= 1:
        return Rate(math.floor(calls_a_second), SECOND_MS)
    return Rate(1, math.ceil(SECOND_MS / calls_a_second))


def retry_after(header: str | None, date: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number or a date. None where it says neither.

    A date is compared with the answer's own Date where it has one, so that the two machines' clocks may differ.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        at = _timestamp(header)
        if at is None:
            return None
        seconds = at - (_timestamp(date) or now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _timestamp(text: str | None) -> float | None:
    try:
        at = parsedate_to_datetime(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
