"""A module run as a process of its own, forked from one that has imported what stages import.

A start of Python with these imports takes seconds of processor time, some thirty times in this suite; all else is as in
a process that is started: its environment, its output, its exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT = 240.0
IMPORTED = (
    *("muster_jobs.train", "muster_jobs.evaluate", "muster_jobs.promote", "muster_jobs.score"),
    *("pyspark.sql.connect.session", "mlflow.tracking.client", "sklearn.linear_model", "sklearn.tree"),
)
"""The stages, and what they import once they run."""

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(list(IMPORTED))


def run_module(module: str, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
    """Run a module, as `python -m` does, with its output in a file; return its exit code.

    Raises:
        TimeoutError: when it takes longer than four minutes; it is killed then.
    """
    process = _FORKING.Process(target=_run, args=(module, list(arguments), dict(environment), str(output)))
    process.start()
    process.join(TIMEOUT)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{module} {' '.join(arguments)}: {output.read_text()}")
    return process.exitcode


def _run(module: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
