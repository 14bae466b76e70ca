"""A job's process: it dies with this one, is read line by line, recognised by its run key."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping

import psutil

from muster.die_with_parent import tied
from muster.processes import runs, wait_until_ended
from muster_airflow.exceptions import StillAtWork

RUN_KEY = "MUSTER_RUN_KEY"
"""In the environment of a job and of all that it starts: by it what an earlier attempt left is recognised."""

GRACE = 4.0
"""Seconds between SIGTERM and SIGKILL: less than the five after which Airflow kills the task itself."""


class JobProcess:
    """One running job."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - no shell, and the arguments are the operator's own
            tied(arguments),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Signals to this process's group would reach the job as SIGKILL too, before it could clean up.
            start_new_session=True,
        )
        self.pid = self._process.pid

    def stream(self, tell: Callable[[str], None]) -> int:
        """Pass every line that the job writes on to `tell`, as it comes; return its exit code."""
        for line in self._process.stdout or ():
            tell(line.rstrip())
        return self._process.wait()

    def stop(self) -> None:
        """Ask the job to end its work and itself; make it after a grace."""
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def stop_leftovers(run_key: str) -> list[int]:
    """End every process that an earlier attempt with this run key left on this machine; return their ids.

    Raises:
        StillAtWork: when one outlives SIGKILL.
    """
    processes = list(_marked(run_key))
    left = processes
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        wait_until_ended(left, GRACE)
        left = [process for process in left if runs(process)]
    if left:
        raise StillAtWork([process.pid for process in left])
    return [process.pid for process in processes]


def _marked(run_key: str) -> Iterator[psutil.Process]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in own and process.environ().get(RUN_KEY) == run_key:
                yield process
