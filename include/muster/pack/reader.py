"""Read a group's model from a shard, verified first. Imports nothing of Muster: it ships with every pack."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import zstandard


class CorruptModel(Exception):
    """Raised when stored bytes are not those that the manifest vouches for."""

    def __init__(self, group: str, shard: str, expected: str, found: str) -> None:
        super().__init__(
            f"the model of group '{group}' in shard '{shard}' has sha256 {found[:12]}..., "
            f"the manifest says {expected[:12]}...; not loaded: restore the shard or roll back"
        )


def read_bytes(shard: Path, offset: int, length: int) -> bytes:
    """Return `length` bytes of `shard` from `offset`."""
    with shard.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def decode(data: bytes, sha256: str, group: str, shard: str) -> Any:
    """Return the model stored as `data` (a zstd frame of a pickle) after checking its digest.

    Raises:
        CorruptModel: when the digest differs; nothing was deserialised then.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise CorruptModel(group, shard, sha256, found)
    return pickle.loads(zstandard.ZstdDecompressor().decompress(data))  # noqa: S301 - the digest was checked above


def scores(model: Any, features: np.ndarray) -> np.ndarray:
    """Return a score a row, higher for likelier positives: (n, features) float64 in, (n,) float64 out.

    The probability of class 1, or the decision function, or (outlier detectors) the negated score of normality.

    Raises:
        TypeError: when the model offers none of them.
    """
    if hasattr(model, "predict_proba"):
        column = int(np.flatnonzero(model.classes_ == 1)[0])
        return np.asarray(model.predict_proba(features)[:, column], dtype=np.float64)
    if hasattr(model, "score_samples"):
        return -np.asarray(model.score_samples(features), dtype=np.float64)
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(features), dtype=np.float64)
    raise TypeError(f"a {type(model).__name__} has neither predict_proba, score_samples nor decision_function")
