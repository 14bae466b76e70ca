"""Write models of many groups into one file, each a zstd frame of a pickle with its own sha256."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import zstandard
from sklearn.base import BaseEstimator

LEVEL = 3
"""zstd level: higher ones gain under 15 % of the size for 4 to 7 times the time (measured on forests)."""


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
    """Append models to a file that appears under `<stem>-<sha256[:12]>.bin` only when it is whole.

    A task that is tried twice writes the same bytes, hence the same name: nothing is lost, nothing stands twice.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f".{stem}-{uuid.uuid4().hex}.part"
        self._file = self._part.open("wb")
        self._digest = hashlib.sha256()
        self._offset = 0
        self.path: Path | None = None
        """The finished shard; None while writing, and for a shard that held nothing."""

    def add(self, data: bytes) -> Stored:
        """Append one model's encoded bytes."""
        stored = Stored(self._offset, len(data), hashlib.sha256(data).hexdigest())
        self._file.write(data)
        self._digest.update(data)
        self._offset += len(data)
        return stored

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is not None or self._offset == 0:
            self._part.unlink()
            return
        self.path = self._folder / f"{self._stem}-{self._digest.hexdigest()[:12]}.bin"
        self._part.replace(self.path)
