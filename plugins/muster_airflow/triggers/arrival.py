"""Wakes a task when a partition's data have changed, or are late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from muster.errors import MusterError, reason_of
from muster.settings import settings
from muster.workload.freshness import Freshness
from muster_airflow.hooks.database import database_known


def state_of(workload: str, partition: str) -> str:
    """Return what tells the present state of a partition's data, and of what is asked of them, from another.

    Where the source cannot be asked, that is the state.
    """
    from muster.context import Context  # not while DAGs are parsed
    from muster.freshness.answer import state
    from muster.freshness.arrived import what_arrived

    try:
        context = Context.of_file(Path(workload), settings()).at(partition)
        with database_known(Path(workload)):
            return state(what_arrived(context), context.workload.freshness or Freshness())
    except (MusterError, OSError) as error:
        return unasked(error)


def unasked(error: BaseException) -> str:
    """Return the state of a source that cannot be asked."""
    return f"{type(error).__name__}: {reason_of(error)}"


class ArrivalTrigger(BaseTrigger):
    """Wait until the state of a partition's data is another than it was, and twice the same; or until a deadline.

    Twice, since a file that is just being written is another at each look. It asks which days are there and no more, in
    a thread of its own, so it holds up no other trigger. All that it knows are its arguments: where the triggerer is
    started again, or another takes it over, it goes on from there.

    :param workload: path of the workload's YAML file.
    :param partition: the partition's date.
    :param known: the state that the task has seen.
    :param deadline: when to wake the task whatever has arrived, ISO 8601 with its offset from UTC.
    :param every: seconds between two looks.
    """

    def __init__(self, workload: str, partition: str, known: str, deadline: str, every: float) -> None:
        super().__init__()
        self.workload = workload
        self.partition = partition
        self.known = known
        self.deadline = deadline
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger from."""
        names = ("workload", "partition", "known", "deadline", "every")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again; tell the task why it should go on."""
        yield TriggerEvent({"late": await self._is_late()})

    async def _is_late(self) -> bool:
        """Return once the data have changed, or are late: which of both."""
        before: str | None = None
        while self._left() > 0:
            # One thread at most: where a source hangs, no second one is asked, and the deadline holds all the same.
            question = asyncio.ensure_future(asyncio.to_thread(state_of, self.workload, self.partition))
            await asyncio.wait({question}, timeout=self._left())
            if not question.done():
                break
            state = question.result()
            if state == before != self.known:
                self.log.info("Partition %s has changed", self.partition)
                return False
            before = state
            await asyncio.sleep(max(0.0, min(self._left(), self.every)))
        self.log.info("Partition %s is late: it is past %s", self.partition, self.deadline)
        return True

    def _left(self) -> float:
        return (datetime.fromisoformat(self.deadline) - datetime.now(UTC)).total_seconds()
