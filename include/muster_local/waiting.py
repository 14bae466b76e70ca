"""A partition that has ended a stage and not the next one since, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

NEXT_BEGINS_WITHIN = 60.0
"""Seconds after a stage's end within which Airflow may still start the next by itself: on an idle machine it takes two.
Whoever were told to trigger it then would run it twice."""


@dataclass(frozen=True)
class Waiting:
    """A partition that has ended a stage, and not the next one since."""

    workload: str
    partition: str
    stage: str
    following: str
    again: bool
    """Whether the next one had ended before: what it left is of an earlier result."""
    ended_at: float = field(default=0.0, compare=False)
    """When the stage came to its end, in seconds since the epoch."""

    @property
    def begins_by_itself(self) -> bool:
        """Whether the stage has ended so lately that Airflow may be just about to start the next."""
        return time.time() - self.ended_at < NEXT_BEGINS_WITHIN

    def short(self, paused: Collection[str] = ()) -> str:
        """Return in a few words what comes of the next stage; `paused`: the DAGs that are."""
        if self.dag in paused:
            return f"{self.following} is paused"
        return f"{self.following} is about to begin" if self.begins_by_itself else f"{self.following} not started"

    def text(self, paused: Collection[str] = ()) -> str:
        """Return it as a sentence with what to do; nothing is where the next stage begins by itself."""
        if self.dag in paused:
            what = f"{self.dag} is paused: unpause it, then trigger it with the partition key {self.partition}"
        elif self.begins_by_itself:
            what = f"{self.following} is about to begin"
        else:
            what = (
                f"if no run of {self.dag} is at work or red, trigger {self.dag} with the partition key {self.partition}"
            )
        return f"{self.partition} {self._ended}: {what}"

    @property
    def dag(self) -> str:
        """The next stage's DAG."""
        return f"{self.workload}.{self.following}"

    @property
    def _ended(self) -> str:
        if self.again:
            return f"has ended {self.stage} again after {self.following}, whose result is of before"
        return f"has ended {self.stage} and not {self.following}"
