"""Whether other processes have ended, also those that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Collection

import psutil


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs: one that ended, and whose parent has not asked for its exit code, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_ended(processes: Collection[psutil.Process], seconds: float) -> None:
    """Wait until processes have ended, at most so long, without taking their exit codes from whoever started them."""
    deadline = time.monotonic() + seconds
    while any(map(runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
