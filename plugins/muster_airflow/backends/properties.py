"""Spark's configuration as a file that its owner alone can read: secrets are in no argument, process list or log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from muster_airflow.backends.command import Command

SUFFIX = ".properties"


@contextlib.contextmanager
def configured(command: Command, folder: Path) -> Iterator[list[str]]:
    """Yield the arguments to start; what `command` keeps out of them stands in a file of `folder` meanwhile.

    The file is gone when the block ends, however it ends. Where this process is killed first, the next call removes it.
    """
    if not command.properties:
        yield command.arguments
        return
    with contextlib.ExitStack() as stack:
        with _alone(folder):
            _sweep(folder)
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=folder, suffix=SUFFIX, encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX)  # held until it is closed, or this process dies
        file.write("".join(f"{_escaped(key)}={_escaped(value)}\n" for key, value in command.properties.items()))
        file.flush()
        submit, *rest = command.arguments
        # Alone, the file would replace `spark-defaults.conf`; so it goes before it.
        yield [submit, "--properties-file", file.name, "--load-spark-defaults", *rest]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time into the folder: a file that is new and not locked yet is not left over."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove the files whose process has ended: nobody holds their lock."""
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError), path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _escaped(text: str) -> str:
    """Write a key or value as `java.util.Properties` reads it back."""
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f"}
    return re.sub(r"[\\=:#! \n\r\t\f]", lambda match: named.get(match[0], f"\\{match[0]}"), text)
