"""A file of an object store as one that is read from any place on, for Arrow: always the same version of it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from muster.storage.files import Files
from muster.storage.object_store import object_store, system_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta

AT_A_TIME = 4 * 2**20
"""Bytes of a request, at least, but at the end."""


def remote_file(files: Files, path: str) -> pa.PythonFile:
    """Open a file below a root that is a URI.

    Raises:
        FileNotFoundError: when there is none.
        NotAvailable: when the store does not give it, now or as it is read; also once it was replaced.
    """
    return pa.PythonFile(io.BufferedReader(_Ranges(files, path), AT_A_TIME), mode="r")


class _Ranges(io.RawIOBase):
    """The bytes of an object, range by range, as long as it is the one that was opened."""

    def __init__(self, files: Files, path: str) -> None:
        self._store, self._path, self._place = object_store(files.root), path, f"{files.root}/{path}"
        with system_errors(self._place):
            self._meta: ObjectMeta = self._store.head(path)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._meta["size"]}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._meta["size"])
        if end <= self._at:
            return 0
        options: Any = {"range": (self._at, end), "if_match": self._meta["e_tag"]}
        with system_errors(self._place):
            data = bytes(self._store.get(self._path, options=options).bytes())
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
