"""How long this process waits for one call before it gives up, to be run again later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from muster.settings.limits import Waiting

_holds_spark = False
_at_most = math.inf


def mark_spark_process() -> None:
    """Note that the process holds a Spark session: to run it again costs more than to wait."""
    global _holds_spark
    _holds_spark = True


def max_wait(waiting: Waiting) -> float:
    """Return the seconds that this process waits for one call: the settings' `patience` or `patience_spark`."""
    return at_most(waiting.patience_spark if _holds_spark else waiting.patience)


def at_most(seconds: float) -> float:
    """Return these seconds, or fewer where whoever looks on does not wait so long."""
    return min(seconds, _at_most)


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Let this process wait no longer for a call, and for each response of the server, meanwhile."""
    global _at_most
    before, _at_most = _at_most, seconds
    try:
        yield
    finally:
        _at_most = before
