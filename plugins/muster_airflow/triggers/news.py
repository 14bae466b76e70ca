"""Wakes the DAG `watch` when there is anything new in a workload's source."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from muster.errors import MusterError, reason_of
from muster.settings import settings
from muster_airflow.hooks.database import database_known

SHARE = 20
"""A source is asked for a twentieth of the time at most: after a slow look the next one waits for longer."""

SHOWN = 10
"""Partitions that an event names."""

News = frozenset[tuple[str, str, str]]
"""Partition, cause and state of all that is new."""


def look(workload: str) -> News:
    """Return what is new in a workload's source."""
    from muster.context import Context  # not while DAGs are parsed
    from muster.ingest.news import news

    with database_known(Path(workload)):
        found = news(Context.of_file(Path(workload), settings()))
    return frozenset((one.partition, one.cause, one.state) for one in found)


class NewsTrigger(BaseEventTrigger):
    """Look into a source again and again; fire when what is new is the same at two looks.

    It decides nothing and remembers nothing that matters: Airflow's events of a watcher bear no partition key, and one
    that was fired when the triggerer is killed is lost. What was lost is still new at the next look, and what is fired
    twice the DAG `watch` tells by the events that it has posted. What stays new is fired again some minutes later.

    :param workload: path of the workload's YAML file.
    :param every: seconds between two looks.
    :param again: seconds after which what is still new is fired again.
    """

    def __init__(self, workload: str, every: float, again: float) -> None:
        super().__init__()
        self.workload = workload
        self.every = every
        self.again = again
        self._problem = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger from."""
        names = ("workload", "every", "again")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire whenever there is anything new; it never ends."""
        before, fired, fired_at = News(), News(), 0.0
        while True:
            began = time.monotonic()
            found = await self._look()
            settled = (found or News()) & before
            if settled - fired or (settled and time.monotonic() - fired_at >= self.again):
                fired, fired_at = settled, time.monotonic()
                yield TriggerEvent({"partitions": sorted({partition for partition, _, _ in settled})[:SHOWN]})
            fired, before = fired if found is None else fired & found, before if found is None else found
            await asyncio.sleep(max(self.every, SHARE * (time.monotonic() - began)))

    def _under_way(self) -> Future[News]:
        """Return what a look will have seen, in a thread of its own: a source that hangs holds up no other's looks."""
        found: Future[News] = Future()
        found.set_running_or_notify_cancel()  # who waits for it may go, the look goes on

        def see() -> None:
            try:
                found.set_result(look(self.workload))
            except BaseException as error:
                found.set_exception(error)

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(see,), name=f"look of {self.workload}", daemon=True).start()
        return found

    async def _look(self) -> News | None:
        """Return what is new; None where the source cannot be asked, which is told once for each reason."""
        try:
            found = await asyncio.wrap_future(self._under_way())
        except Exception as error:
            problem = f"{type(error).__name__}: {reason_of(error)}"
            if problem != self._problem:
                tell = self.log.warning if isinstance(error, (MusterError, OSError)) else self.log.exception
                tell("Cannot look what is new, and goes on trying: %s", problem)
            self._problem = problem
            return None
        if self._problem:
            self.log.info("Can look again what is new")
        self._problem = ""
        return found
