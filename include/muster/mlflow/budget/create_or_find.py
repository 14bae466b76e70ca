"""Create one thing in MLflow and no second: where a response was lost, look for it before it is created again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from muster.mlflow.budget.errors import ResponseLost, muster_errors
from muster.mlflow.budget.max_wait import max_wait
from muster.mlflow.budget.request import MIN_ATTEMPTS
from muster.settings import settings

T = TypeVar("T")


class CreateOrFind(Generic[T]):
    """One thing, known by its tag: found or created. Duplicates of requests whose responses were lost are removed."""

    def __init__(self, find_all: Callable[[], list[T]], create: Callable[[], T], remove: Callable[[T], object]) -> None:
        """Take how to find all things with the tag, the one to keep first; how to create one; how to remove one."""
        self._find_all, self._create, self._remove = find_all, create, remove
        self._waiting = settings().mlflow_waiting
        self._requests = 0
        self._lost_at = 0.0

    def find(self) -> T | None:
        """Return the thing where it is there."""
        things = self._find_all()
        return things[0] if things else None

    def create(self) -> T:
        """Create the thing, known not to be there.

        Raises:
            ResponseLost: when every response was lost for as long as the process waits.
        """
        began = time.monotonic()
        while True:
            self._requests += 1
            try:
                with muster_errors():
                    return self._create()
            except ResponseLost:
                self._lost_at = time.monotonic()
                if self._requests >= MIN_ATTEMPTS and self._lost_at - began > max_wait(self._waiting):
                    raise
            if (created := self._find_late()) is not None:
                return created

    def _find_late(self) -> T | None:
        """Look for what a lost response was about until it must be visible; most often it is at once."""
        until, pause = self._lost_at + self._waiting.lost_answer, self._waiting.first_pause
        while True:
            time.sleep(max(0.0, min(pause, until - time.monotonic())))
            if (created := self.find()) is not None or time.monotonic() >= until:
                return created
            pause *= 2

    def remove_surplus(self, thing: T) -> T:
        """Return the thing to keep, once all else is done with the one that was found or created.

        Where its creation was sent more than once, a second one may have come late: it is removed.
        """
        if self._requests < 2:
            return thing
        time.sleep(max(0.0, self._lost_at + 2 * self._waiting.lost_answer - time.monotonic()))
        keep, *surplus = self._find_all() or [thing]
        for each in surplus:
            self._remove_one(each)
        return keep

    def _remove_one(self, thing: T) -> None:
        try:
            self._remove(thing)
        except Exception:
            # A removal that was sent again, its first response lost, finds nothing to remove.
            if len(self._find_all()) > 1:
                raise
