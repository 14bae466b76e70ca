"""Make one thing in MLflow and no second: where an answer was lost, look whether it is there before making it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from muster.mlflow.budget.errors import AnswerLost, muster_errors
from muster.mlflow.budget.patience import patience
from muster.mlflow.budget.request import LEAST_TRIES
from muster.settings import settings

T = TypeVar("T")


class CreateOrFind(Generic[T]):
    """One thing of a kind, told by its tag: found, or made; nothing is left of makings whose answers were lost."""

    def __init__(self, find: Callable[[], list[T]], make: Callable[[], T], remove: Callable[[T], object]) -> None:
        """Take how all things with the tag are found, the one to keep first; how one is made; how one is removed."""
        self._find, self._make, self._remove = find, make, remove
        self._waiting = settings().mlflow_waiting
        self._sent = 0
        self._lost_at = 0.0

    def look(self) -> T | None:
        """Return the thing where it is there."""
        found = self._find()
        return found[0] if found else None

    def make(self) -> T:
        """Make the thing, known not to be there.

        Raises:
            AnswerLost: when every answer was lost for as long as the process waits.
        """
        began = time.monotonic()
        while True:
            self._sent += 1
            try:
                with muster_errors():
                    return self._make()
            except AnswerLost:
                self._lost_at = time.monotonic()
                if self._sent >= LEAST_TRIES and self._lost_at - began > patience(self._waiting):
                    raise
            if (made := self._appeared()) is not None:
                return made

    def _appeared(self) -> T | None:
        """Look for what a lost answer was about until it must be there; most often it is at once."""
        until, pause = self._lost_at + self._waiting.lost_answer, self._waiting.first_pause
        while True:
            time.sleep(max(0.0, min(pause, until - time.monotonic())))
            if (made := self.look()) is not None or time.monotonic() >= until:
                return made
            pause *= 2

    def end(self, thing: T) -> T:
        """Return the thing to keep, once all else is done with the one found or made.

        Where making it was sent more than once, one that came late may be there beside it.
        """
        if self._sent < 2:
            return thing
        time.sleep(max(0.0, self._lost_at + 2 * self._waiting.lost_answer - time.monotonic()))
        kept, *surplus = self._find() or [thing]
        for each in surplus:
            self._remove_one(each)
        return kept

    def _remove_one(self, thing: T) -> None:
        try:
            self._remove(thing)
        except Exception:
            # A removal that was sent again, its first answer lost, finds nothing to remove.
            if len(self._find()) > 1:
                raise
