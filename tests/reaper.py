"""Ends all that a test run has started, when the run has ended: however it did, and whoever started it.

A run marks itself, and so every process that it starts; a process without the mark waits for the run's end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil

from muster.processes import wait_until_ended

MARK = "TESTS_OF_MUSTER"
"""The variable that says to which run a process belongs; not one of `MUSTER_*`, which tests take away."""
GRACE_SECONDS = 8.0
_waiting: list[subprocess.Popen[bytes]] = []
"""Keeps open what the process that waits reads."""


def start() -> None:
    """Mark this process, and start the one that ends all marked ones after it."""
    os.environ[MARK] = f"{os.getpid()}-{psutil.Process().create_time()}"
    env = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, __file__, os.environ[MARK]]
    # Its input ends when this process does: the other end is inherited by nobody.
    quiet = subprocess.DEVNULL
    _waiting.append(
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
    )


def end_all(mark: str) -> None:
    """End every process of a run, also what it still starts meanwhile."""
    for force in (False, *[True] * 20):
        left = list(_marked(mark))
        for process in left:
            try:
                process.kill() if force else process.terminate()
            except psutil.NoSuchProcess:
                continue
        wait_until_ended(left, GRACE_SECONDS)


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                yield process
        except (psutil.Error, OSError):
            continue


if __name__ == "__main__":
    sys.stdin.read()
    end_all(sys.argv[1])
