"""That a run's models are where its rows say, before they are written down."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from muster.errors import MusterError, bounded
from muster.storage.files import Files


class ShardsGone(MusterError):
    """Raised when a run's shards were removed while it trained: those of an earlier training, and as old."""

    retryable = True

    def __init__(self, shards: Iterable[str]) -> None:
        super().__init__(f"shards of this run were removed while it trained: {bounded(sorted(shards))}; train again")


def check_shards(files: Files, folder: str, models: pa.Table) -> None:
    """Check that the shards that rows of `models` name are in the run's folder.

    Raises:
        ShardsGone: when any is not.
    """
    there = {file.path for file in files.listed(folder)}
    if gone := set(models["shard"].unique().to_pylist()) - there:
        raise ShardsGone(gone)
