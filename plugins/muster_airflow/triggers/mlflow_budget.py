"""Wakes a task when MLflow takes calls again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is read again: it may be set, and a machine that slept does not count its sleep."""


class MlflowBudgetTrigger(BaseTrigger):
    """Wait until a moment, never less.

    :param moment: when to wake the task, ISO 8601 with its offset from UTC.
    :param why: what the task waits for; shown in its log.
    """

    def __init__(self, moment: str, why: str) -> None:
        super().__init__()
        self.moment = moment
        self.why = why

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger from."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment, "why": self.why}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, then tell the task to go on."""
        until = datetime.fromisoformat(self.moment)
        self.log.info("Waiting for MLflow until %s: %s", self.moment, self.why)
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP))
        yield TriggerEvent({"waited_until": self.moment})
