"""How much memory a task needs to train its bucket, and how those that need more than a task has are run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.filesize import decimal as size

from muster.errors import MusterError, bounded

WORKER = 220 * 2**20
"""Bytes of a Python worker with its libraries."""
ROW, VALUE = 250, 30
"""Bytes of a row, and of each of its features, at the peak: as Arrow has them, sorted, and as a matrix of float64."""
FIT = 16
"""Bytes of a feature's value in the group that is fitted: most estimators of scikit-learn copy a group once or twice.
Measured at a million rows with logistic regression and boosted trees (benchmarks/task_memory.py); one that needs n x n
values, as a Gaussian process, needs more, and is not foreseen."""


class NotEnoughMemory(MusterError):
    """Raised before a training whose largest bucket would need more memory than there is."""

    def __init__(self, bucket: int, needed: int, there: int, largest: Mapping[str, int]) -> None:
        groups = bounded(f"'{group}' ({rows:,} rows)" for group, rows in largest.items())
        super().__init__(
            f"bucket {bucket} needs about {size(needed)} of memory to be trained, and there are {size(there)}; its "
            f"largest groups: {groups}. Declare 'large_groups' to sample them, or more 'features.buckets', or give "
            "Spark's Python more memory and say so by MUSTER_TASK_MEMORY"
        )


@dataclass(frozen=True)
class Memory:
    """What Spark's tasks have."""

    of_task: int
    """Bytes, with all cores at work."""
    cores: int
    """Tasks that run at once and share the memory: of an executor, or of this machine."""
    of_an_executor: bool = False
    """Whether there may be several of them, and Spark sees to it how many tasks each has."""

    @property
    def shared(self) -> int:
        """Bytes that a task has that runs alone."""
        return self.of_task * self.cores


@dataclass(frozen=True)
class Passes:
    """Which buckets are trained side by side, and which more alone."""

    usual: tuple[int, ...]
    large: tuple[int, ...] = ()
    """Buckets that need more than a task has."""
    at_once: int = 1
    """How many of them may share the memory."""
    tasks: int | None = 1
    """How many tasks they are to be divided among at most; None where Spark itself lets no more run at once."""
    cpus: int = 1
    """Spark's cores that each of their tasks takes: so that no more run beside it than there is memory for."""


def bytes_needed(columns: int, rows: int, largest: int) -> int:
    """Return the bytes of a task that trains a bucket of so many rows and features, `largest` of one group."""
    return WORKER + rows * (ROW + VALUE * columns) + largest * columns * FIT


def passes(needed: Mapping[int, int], memory: Memory | None) -> Passes:
    """Divide buckets by what each needs; all are as usual where nobody knows how much a task has.

    Raises:
        ValueError: with the bucket that needs more than all memory.
    """
    if memory is None:
        return Passes(tuple(needed))
    large = {bucket: count for bucket, count in needed.items() if count > memory.of_task}
    if not large:
        return Passes(tuple(needed))
    bucket = max(large, key=large.__getitem__)
    at_once = memory.shared // large[bucket]
    if at_once < 1:
        raise ValueError(bucket)
    usual = tuple(bucket for bucket in needed if bucket not in large)
    tasks = None if memory.of_an_executor else at_once
    return Passes(usual, tuple(large), at_once, tasks, math.ceil(memory.cores / at_once))
