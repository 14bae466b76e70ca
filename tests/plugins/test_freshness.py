"""A task that waits for data: what it tells, when it goes on, what it does not wait for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from muster.settings import settings
from muster_airflow.exceptions import SourceRefused, WrongPartition
from muster_airflow.sensors.freshness import MISSING
from muster_airflow.sensors.waiting_for_data import SHOWN_AS
from tests.plugins.airflow_task import WORKLOAD
from tests.plugins.late_data import (
    DAYS,
    LAST,
    Declare,
    deferred,
    due,
    event_of,
    fired,
    put,
    taken,
    trigger_of,
    woken,
)


def test_what_is_there_is_told_and_the_task_ends(sensor: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    put(*DAYS)
    context = due()
    result = taken(sensor(), context)
    assert (result["fresh"], result["days"], result["row_count"], result["groups"]) == (True, "7 of 7", 21, 3)
    assert context["ti"].pushed[MISSING] == ""
    assert result["newest_event"] == "2024-02-11T06:00:00+00:00"
    assert SHOWN_AS not in context["task_state_store"]
    told = "7 of 7 days are there, 21 rows of 3 groups, the newest of 2024-02-11T06:00:00+00:00"
    assert told in capsys.readouterr().out


def test_a_late_file_wakes_a_task_that_holds_no_slot_also_in_another_triggerer(sensor: Declare) -> None:
    put(*DAYS[:-1])
    task, context = sensor(), due()
    waits = deferred(task, context)
    shown = context["task_state_store"][SHOWN_AS]
    assert (shown["days"], shown["missing"]) == ("6 of 7", [str(LAST)])
    assert f"no landed file for {LAST}" in shown["why"]
    assert datetime.fromisoformat(shown["since"]) <= datetime.now(UTC) < datetime.fromisoformat(shown["until"])

    async def story() -> Any:
        first = asyncio.create_task(event_of(trigger_of(waits)))
        await asyncio.sleep(0.3)
        assert not first.done()
        first.cancel()  # the triggerer is killed
        put(LAST)
        return await fired(trigger_of(waits))

    event = asyncio.run(story())
    assert event["late"] is False
    assert task.resume(context, event=event)["fresh"] is True


def test_each_state_is_told_once(sensor: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    put(*DAYS[:-2])
    task, context = sensor(), due()
    deferred(task, context)
    since = context["task_state_store"][SHOWN_AS]["since"]
    deferred(task, context)
    assert capsys.readouterr().out.count("5 of 7 days are there; no landed file for 2024-02-10, 2024-02-11") == 1
    assert context["task_state_store"][SHOWN_AS]["since"] == since
    put(DAYS[-2])
    deferred(task, context, {"late": False})
    assert capsys.readouterr().out.count("6 of 7 days are there; no landed file for 2024-02-11") == 1


def test_a_wrong_partition_and_a_source_of_other_columns_are_no_reason_to_wait(sensor: Declare, workload: Path) -> None:
    with pytest.raises(WrongPartition, match="'2024-02-06' is no partition of made"):
        sensor(partition="2024-02-06").execute(due())
    task = sensor()
    table = "source: {table: raw/none}\n"
    workload.write_text(workload.read_text() + table, encoding="utf-8")
    Path(settings().store_root, "raw", "none").mkdir(parents=True)
    with pytest.raises(SourceRefused, match="is no Delta table"):
        task.execute(due())


def test_without_the_section_its_defaults_hold(sensor: Declare, workload: Path) -> None:
    task = sensor()
    workload.write_text(WORKLOAD, encoding="utf-8")
    now = datetime.now(UTC)
    waits = deferred(task, due(now))
    assert datetime.fromisoformat(waits.trigger.deadline) == now + timedelta(hours=12)


def test_a_changed_limit_wakes_it(sensor: Declare) -> None:
    put(*DAYS[:-1])
    waits = deferred(sensor(), due())
    sensor("late: go_on")
    assert woken(waits)["late"] is False
