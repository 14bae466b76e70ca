"""Wakes a task when a partition's data have changed and settled, do not answer, or are late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from muster_airflow.triggers.looks import HANGS, UNASKED, Seen, under_way

SOON = 60.0
"""Seconds at most until what has changed is looked at once more."""
PATIENCE = 60.0
"""Seconds after which a look that is not answered is told to hang."""


class ArrivalTrigger(BaseTrigger):
    """Wait until the state of a partition's data is another than it was, and twice the same; or until a deadline.

    Twice, since a file that is just being written is another at each look. It asks which days are there and no more, in
    a thread of its own, so it holds up no other trigger; while one look hangs, no second one is begun. All that it
    knows are its arguments: where the triggerer is started again, or another takes it over, it goes on from there.

    Its event has `late`, whether it is past the deadline; `same`, the state where it was so at two looks; `settling`,
    where a second look was to see what a first had `seen`; and where the source does not answer `unasked`, why, and
    `state`, what stands for that.

    :param workload: path of the workload's YAML file.
    :param partition: the partition's date.
    :param known: the state that the task has seen, for which it is not woken.
    :param deadline: when to wake the task whatever has arrived, ISO 8601 with its offset from UTC.
    :param every: seconds between two looks.
    :param seen: the state at a first look, which is to be the same at a second one.
    :param again: when to wake the task though nothing has changed and it is not late, as `deadline`.
    """

    def __init__(
        self,
        workload: str,
        partition: str,
        known: str,
        deadline: str,
        every: float,
        seen: str | None = None,
        again: str | None = None,
    ) -> None:
        super().__init__()
        self.workload = workload
        self.partition = partition
        self.known = known
        self.deadline = deadline
        self.every = every
        self.seen = seen
        self.again = again

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger from."""
        names = ("workload", "partition", "known", "deadline", "every", "seen", "again")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again; tell the task why it should go on."""
        yield TriggerEvent(await self._event())

    async def _event(self) -> dict[str, Any]:
        """Return what the task is told, once there is something to tell."""
        before, same, hangs = self.seen, None, None
        if before is not None:
            await self._sleep(min(self.every, SOON))
        while self._left() > 0:
            seen = await self._seen()
            hangs = seen if seen is not None and seen.state == HANGS else None
            if seen is None or hangs:
                if hangs and not self.known.startswith(UNASKED):
                    break
                continue  # for the same look, which has not ended
            if seen.state == before != self.known:
                self.log.info("Partition %s has changed", self.partition)
                return self._unasked(seen) if seen.unasked else {"late": False, "same": seen.state}
            same = seen.state if seen.state in (before, self.known) else None
            before = seen.state
            await self._sleep(self.every if same else min(self.every, SOON))
        if hangs:
            return self._unasked(hangs)
        late = self._until(self.deadline) <= 0
        self.log.info(
            "Partition %s is %s", self.partition, f"late: past {self.deadline}" if late else "to be read again"
        )
        return {"late": late, "same": same, "settling": self.seen is not None}

    async def _seen(self) -> Seen | None:
        """Return what is seen; that the look hangs, where it takes too long; None where the wait is over before."""
        began, look = datetime.now(UTC), asyncio.wrap_future(under_way(self.workload, self.partition))
        await asyncio.wait({look}, timeout=min(self._left(), PATIENCE))
        if look.done():
            return look.result()
        look.cancel()  # not the look itself
        since = began.isoformat(timespec="seconds")
        return Seen(HANGS, f"it has not answered since {since}") if self._left() > 0 else None

    def _unasked(self, seen: Seen) -> dict[str, Any]:
        self.log.info("The source of partition %s cannot be asked: %s", self.partition, seen.unasked)
        return {"late": self._until(self.deadline) <= 0, "state": seen.state, "unasked": seen.unasked}

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(self._left(), seconds)))

    def _left(self) -> float:
        return min(self._until(moment) for moment in (self.deadline, self.again) if moment)

    def _until(self, moment: str) -> float:
        return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
