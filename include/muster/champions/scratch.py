"""A folder for model files on an executor: gone when the work ends, and swept by the next when its owner was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "muster-models-"
_LOCK = "owner.lock"
UNLOCKED = 60.0
"""Seconds within which the owner of a new folder has locked it."""


@contextmanager
def scratch(below: Path | None = None) -> Iterator[Path]:
    """Give a new empty folder, and remove it whatever happens; first remove those that killed processes have left.

    The owner holds a lock that the kernel gives up with its process, so no other host's or process's clock or number
    is trusted: a folder whose lock can be had has no owner.
    """
    root = below or Path(tempfile.gettempdir())
    sweep(root)
    with contextlib.ExitStack() as owned:
        yield _owned_folder(root, owned)


def _owned_folder(root: Path, owned: contextlib.ExitStack) -> Path:
    """Return a new folder, locked until `owned` ends; another, where a sweep came between making it and locking it."""
    while True:
        with contextlib.ExitStack() as this:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
            this.callback(shutil.rmtree, folder, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                lock = this.enter_context((folder / _LOCK).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                models = folder / "models"
                models.mkdir()
                owned.push(this.pop_all())
                return models


def sweep(root: Path) -> None:
    """Remove the folders below `root` whose owner is gone."""
    for folder in root.glob(f"{PREFIX}*"):
        try:
            with (folder / _LOCK).open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            _remove_unlocked(folder)
        except OSError:  # its owner is at work
            continue


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder whose lock was never made, unless its owner may be just about to make it."""
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > UNLOCKED:
            shutil.rmtree(folder, ignore_errors=True)
