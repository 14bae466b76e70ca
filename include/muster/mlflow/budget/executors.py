"""What Spark's executors may call: a share of the budget, and each group's own moment to begin."""

from __future__ import annotations

import zlib

EXECUTOR_SHARE = 0.5
"""The share of the budget that all executors together may use; the rest is left to drivers and other stages."""


def share(executors: int, same_host: bool, of_all: float = EXECUTOR_SHARE) -> float:
    """Return `MUSTER_MLFLOW_SHARE` of each executor.

    On the driver's host executors use the same file as all others: they are let through while the calls of all, theirs
    or not, fill less than the share. Elsewhere each has a file of its own, and an equal part of the share.
    """
    if executors < 1 or not 0 < of_all <= 1:
        raise ValueError(f"{executors} executors with {of_all} of the budget: give one or more, and above 0 up to 1")
    return of_all if same_host else of_all / executors


def jitter(group: str, spread: float) -> float:
    """Return the seconds, from 0 up to `spread`, that a group's work waits before its first call.

    They come from the group's name alone: the same in every process and attempt, and evenly spread over groups.
    """
    return zlib.crc32(group.encode()) / 2**32 * spread
