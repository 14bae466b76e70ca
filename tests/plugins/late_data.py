"""A task that waits for a week of files: what it is given, and the trigger that it waits for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from muster.settings import settings
from muster_airflow.sensors.freshness import DataFreshnessSensor
from tests.plugins.airflow_task import context_of, run_of

DAYS = [date(2024, 2, 5) + timedelta(days=number) for number in range(7)]
LAST = DAYS[-1]
Declare = Callable[..., DataFreshnessSensor]


def put(*days: date, cut: int = 0) -> None:
    landing = Path(settings().store_root, "landing", "made")
    landing.mkdir(parents=True, exist_ok=True)
    for day in days:
        text = "place,at,delay\n" + "".join(f"{place},{day}T06:00:00,1\n" for place in "abc")
        content = gzip.compress(text.encode(), mtime=0)
        (landing / f"{day}.csv.gz").write_bytes(content[: len(content) - cut])


def due(run_after: datetime | None = None, run_type: str = "manual", **more: Any) -> dict[str, Any]:
    """Return the context of a run that is due now, unless it is of another time."""
    run = run_of(run_after=run_after or datetime.now(UTC), run_type=run_type)
    return context_of(dag_run=run, **more)


def deferred(task: DataFreshnessSensor, context: dict[str, Any], event: dict[str, Any] | None = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.execute(context) if event is None else task.resume(context, event=event)
    assert raised.value.method_name == "resume"
    return raised.value


def woken(waits: TaskDeferred) -> dict[str, Any]:
    """Return the event of the trigger that a task waits for."""
    event = asyncio.run(fired(trigger_of(waits)))
    assert event is not None
    return dict(event)


def second_look(task: DataFreshnessSensor, context: dict[str, Any]) -> dict[str, Any]:
    """Begin a task that waits for a second look; return the event of it."""
    waits = deferred(task, context)
    assert waits.trigger.seen is not None
    return woken(waits)


def taken(task: DataFreshnessSensor, context: dict[str, Any]) -> dict[str, Any]:
    """Return what a task returns that takes what is there, after two looks."""
    return task.resume(context, event=second_look(task, context))


def trigger_of(waits: TaskDeferred) -> Any:
    """Return the trigger as another triggerer makes it from what Airflow keeps."""
    path, arguments = waits.trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(**arguments)


async def event_of(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload


async def fired(trigger: Any, seconds: float = 5.0) -> Any:
    """Return the trigger's event; None where there is none for some time."""
    try:
        return await asyncio.wait_for(event_of(trigger), seconds)
    except TimeoutError:
        return None


def late(sensor: Declare, freshness: str, **more: Any) -> tuple[DataFreshnessSensor, dict[str, Any]]:
    return sensor(freshness, **more), due(datetime.now(UTC) - timedelta(hours=13))


ASKED = datetime.now(UTC) - timedelta(hours=1)
