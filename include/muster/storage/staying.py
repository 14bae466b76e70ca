"""Files that somebody is about to refer to, beside one who removes what nobody refers to: neither comes too late.

An object store may carry out a deletion long after it was asked for, and repeats one whose answer was lost. So who
removes a file says so first, in a file beside it, which stays until the deletion is done; who writes one looks for
that word afterwards, and where it is there waits, and writes once more. Of the two, one always sees the other.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO

from muster.storage.files import Files, Listed

log = logging.getLogger(__name__)

GOING = ".going"
"""What the name of the file has at its end by which one says that another is being removed."""
AT_MOST = timedelta(minutes=10)
"""So long a deletion may take: then whoever began it was killed."""
PAUSE = 0.5
"""Seconds between two looks whether a deletion is done."""


def write_to_stay(files: Files, path: str, data: bytes | IO[bytes]) -> None:
    """Have a file there, young, whoever is about to remove an old one of the name; where it is young, write nothing.

    Raises:
        OSError: when it cannot be written.
    """
    there = files.about(path)
    if there is None or there.size != _size(data) or not there.is_young:
        _put(files, path, data)
    while _is_going(files, path):
        log.info("'%s' is being removed by housekeeping: it is written again after that", path)
        while _is_going(files, path):
            time.sleep(PAUSE)
        _put(files, path, data)


def write_anew(files: Files, path: str) -> None:
    """Write a file as it is once more, unless it is young and stays: it counts as young then.

    Raises:
        FileNotFoundError: when there is none.
        OSError: when it cannot be written.
    """
    there = files.about(path)
    if there is None or not there.is_young or _is_going(files, path):
        write_to_stay(files, path, files.read(path))


def remove_if(files: Files, path: str, is_old: Callable[[Listed], bool]) -> bool:
    """Remove a file if it is old, as it is now; tell whether it was removed.

    Raises:
        OSError: when it cannot be.
    """
    files.put(path + GOING, b"")
    try:
        now = files.about(path)
        if now is None or not is_old(now):
            return False
        files.delete(path)
        return True
    finally:
        files.delete(path + GOING)


def _is_going(files: Files, path: str) -> bool:
    said = files.about(path + GOING)
    return said is not None and datetime.now(UTC) - said.modified < AT_MOST


def _put(files: Files, path: str, data: bytes | IO[bytes]) -> None:
    if not isinstance(data, bytes):
        data.seek(0)
    files.put(path, data)


def _size(data: bytes | IO[bytes]) -> int:
    return len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
