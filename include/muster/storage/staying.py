"""Files that somebody is about to refer to, beside one who removes what nobody refers to: neither comes too late.

An object store may carry out a deletion long after it was asked for, and repeats one whose answer was lost. So who
removes a file says so first, by a mark of its own in a folder beside it, which stays until the deletion is done; who
writes one looks for marks afterwards, and where there is any waits, and writes once more. Of the two, one always sees
the other. Two may remove one file at once: each has its mark, and the writer waits for both. Neither leaves the file to
the other, who may have been killed.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO

from muster.storage.files import Files, Listed

log = logging.getLogger(__name__)

GOING = ".going"
"""What the name of the folder has at its end, beside the file's own, that holds a mark of each who removes the file."""
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
    """Remove a file if it is old, as it is now; tell whether it was removed, maybe by another at the same time.

    Raises:
        OSError: when it cannot be. An object store may still do it then: the mark stays until it is old.
    """
    mark = f"{path}{GOING}/{uuid.uuid4().hex}"
    files.put(mark, b"")
    done = True
    try:
        now = files.about(path)
        if now is None or not is_old(now):
            return False
        done = files.is_folder
        files.delete(path)
        done = True
        return True
    finally:
        if done:
            files.delete(mark)


def _is_going(files: Files, path: str) -> bool:
    return any(datetime.now(UTC) - mark.modified < AT_MOST for mark in files.listed(f"{path}{GOING}"))


def _put(files: Files, path: str, data: bytes | IO[bytes]) -> None:
    if not isinstance(data, bytes):
        data.seek(0)
    files.put(path, data)


def _size(data: bytes | IO[bytes]) -> int:
    return len(data) if isinstance(data, bytes) else data.seek(0, os.SEEK_END)
