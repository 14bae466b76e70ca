"""Write models of many groups into one file, each a zstd frame of a pickle with its own sha256."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, NamedTuple

import zstandard
from sklearn.base import BaseEstimator

from muster.storage.files import Files
from muster.storage.staying import write_to_stay

LEVEL = 3
"""zstd level: higher ones gain under 15 % of the size for 4 to 7 times the time (measured on forests)."""

IN_MEMORY = 32 * 2**20
"""Bytes of a shard that are held in memory while it is written; more are on this machine's disk."""


class Stored(NamedTuple):
    """Where a model's bytes are within a shard."""

    offset: int
    length: int
    sha256: str


def encode(model: Any) -> bytes:
    """Return the bytes that a model is stored as; the same model gives the same bytes."""
    pickled = io.BytesIO()
    _Pickler(pickled, protocol=5).dump(model)
    return zstandard.ZstdCompressor(level=LEVEL).compress(pickled.getvalue())


class _Pickler(pickle.Pickler):
    """Pickles an estimator to the same bytes whatever its process did before.

    Pickle writes a text that it met before as a reference, but only the very same object; and in a process that has
    loaded a model, scikit-learn's estimators may have other objects as their attributes' names. So names are interned.
    """

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, BaseEstimator):
            return NotImplemented
        reduced = obj.__reduce_ex__(5)
        if len(reduced) < 3 or type(reduced[2]) is not dict:
            return reduced
        state = {sys.intern(name) if type(name) is str else name: value for name, value in reduced[2].items()}
        return (*reduced[:2], state, *reduced[3:])


class ShardWriter:
    """Write models one after another into a file of `folder`, below the root of `files`, called by its sha256.

    It is there whole or not at all, once the block ends. A task that is tried twice writes the same bytes, hence the
    same name: nothing is lost, nothing stands twice.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self._files, self._folder = files, folder
        self._file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._digest = hashlib.sha256()
        self.length = 0
        """Bytes so far."""
        self.path: str | None = None
        """The finished shard below the root; None while writing, and for a shard that held nothing."""

    def add(self, data: bytes) -> Stored:
        """Append one model's encoded bytes."""
        stored = Stored(self.length, len(data), hashlib.sha256(data).hexdigest())
        self._file.write(data)
        self._digest.update(data)
        self.length += len(data)
        return stored

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None and self.length:
                self.path = f"{self._folder}/{self._digest.hexdigest()}.bin"
                write_to_stay(self._files, self.path, self._file)
