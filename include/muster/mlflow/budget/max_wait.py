"""How long this process waits for one call before it gives up, to be run again later."""

from __future__ import annotations

from muster.settings.limits import Waiting

_holds_spark = False


def mark_spark_process() -> None:
    """Note that the process holds a Spark session: to run it again costs more than to wait."""
    global _holds_spark
    _holds_spark = True


def max_wait(waiting: Waiting) -> float:
    """Return the seconds that this process waits for one call: the settings' `patience` or `patience_spark`."""
    return waiting.patience_spark if _holds_spark else waiting.patience
