"""What a task takes that waits for data: what was the same at two looks, answers, and can be read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from muster.freshness import answer as answers
from muster_airflow.exceptions import DataLate, DataSkipped
from muster_airflow.sensors.freshness import DataFreshnessSensor
from muster_airflow.sensors.waiting_for_data import SHOWN_AS
from tests.plugins.airflow_task import WORKLOAD
from tests.plugins.late_data import (
    ASKED,
    DAYS,
    LAST,
    Declare,
    deferred,
    due,
    event_of,
    fired,
    late,
    put,
    second_look,
    taken,
    trigger_of,
    woken,
)


def test_a_file_that_grows_at_each_look_wakes_nobody(sensor: Declare) -> None:
    put(*DAYS[:-1])
    waits = deferred(sensor(), due())
    trigger = trigger_of(waits)
    trigger.every = 0.2

    async def story() -> Any:
        event = asyncio.create_task(event_of(trigger))
        for cut in range(40, 0, -1):
            put(LAST, cut=cut)
            await asyncio.sleep(0.03)
            assert not event.done()
        put(LAST)
        return await asyncio.wait_for(event, 5)

    assert asyncio.run(story())["late"] is False


def test_half_a_file_is_read_once_and_again_when_it_is_delivered_again(sensor: Declare, counted: list[int]) -> None:
    put(*DAYS[:-1])
    task, context = sensor(), due()
    deferred(task, context)
    assert counted == []  # not while a day is missing
    put(LAST, cut=12)
    waits = deferred(task, context, second_look(task, context))
    assert context["task_state_store"][SHOWN_AS]["why"].startswith(f"days that cannot be taken: {LAST}: landed file")
    deferred(task, context)  # a retry
    assert len(counted) == 1
    assert asyncio.run(fired(trigger_of(waits), 0.5)) is None
    put(LAST)
    assert task.resume(context, event=woken(waits))["fresh"] is True
    assert len(counted) == 2


def test_a_half_written_file_that_holds_all_limits_is_not_taken_before_it_is_the_same_at_two_looks(
    sensor: Declare, counted: list[int]
) -> None:
    put(*DAYS)
    task, context = sensor(), due()
    first = deferred(task, context)
    assert counted == []
    assert context["task_state_store"][SHOWN_AS]["why"] == "it is looked once more whether what has come still changes"
    put(LAST)  # once more: another file of the same rows
    event = woken(first)
    put(LAST)  # after two looks at it
    again = deferred(task, context, event)
    assert again.trigger.seen is not None
    assert counted == []
    assert task.resume(context, event=woken(again))["fresh"] is True


def test_what_was_the_same_only_when_it_was_late_is_taken_and_what_changes_on_is_late(sensor: Declare) -> None:
    put(*DAYS)
    assert taken(*late(sensor, "late: fail"))["fresh"] is True
    task, context = late(sensor, "late: go_on")
    waits = deferred(task, context)
    assert datetime.fromisoformat(waits.trigger.deadline) < datetime.now(UTC) + timedelta(seconds=1)
    with pytest.raises(DataLate, match="was never the same at two looks"):
        task.resume(context, event={"late": True, "same": None, "settling": True})
    with pytest.raises(DataSkipped, match="was never the same at two looks"):
        sensor("late: skip").resume(context, event={"late": True, "same": None, "settling": True})


def test_what_is_listed_and_cannot_be_read_is_read_again_ever_more_seldom(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any) -> None:
        raise PermissionError("[Errno 13] Permission denied: 'a file'")

    put(*DAYS)
    task, context = sensor(), due()
    with monkeypatch.context() as patched:
        patched.setattr(answers, "count_rows_and_groups", locked)
        event = second_look(task, context)
        begun, waits = datetime.now(UTC), deferred(task, context, event)
        assert asyncio.run(fired(trigger_of(waits), 0.5)) is None  # it has changed for nobody
        after = [datetime.fromisoformat(waits.trigger.again) - begun]
        for _ in range(5):
            after.append(datetime.fromisoformat(deferred(task, context, event).trigger.again) - begun)
    assert [round(one.total_seconds() / 60) for one in after] == [5, 10, 20, 40, 60, 60]
    shown = context["task_state_store"][SHOWN_AS]
    assert "cannot be read: [Errno 13] Permission denied" in shown["why"]
    assert (shown["days"], shown["unread"]) == ("7 of 7", 6)
    trigger = trigger_of(waits)
    trigger.again = datetime.now(UTC).isoformat()
    assert task.resume(context, event={**asyncio.run(fired(trigger)), "same": event["same"]})["fresh"] is True


def test_a_source_that_answers_the_triggerer_and_not_the_task_is_asked_ever_more_seldom(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any) -> None:
        raise ConnectionError("no route to host")

    put(*DAYS)
    task, context = sensor(), due()
    event = second_look(task, context)
    monkeypatch.setattr(answers, "look", unreachable)
    begun, waits = datetime.now(UTC), deferred(task, context, event)
    assert waits.trigger.known == event["same"]
    assert "cannot be asked what has arrived: no route" in context["task_state_store"][SHOWN_AS]["why"]
    context["task_state_store"][SHOWN_AS]["unread"] = 5000  # of a wait of weeks
    waits = deferred(task, context, event)
    assert datetime.fromisoformat(waits.trigger.again) - begun < timedelta(hours=1.1)


def test_a_source_that_hangs_is_shown_and_not_asked_by_the_task(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(*DAYS[:-1])
    task, context = sensor(), due()
    deferred(task, context)
    monkeypatch.setattr(answers, "look", lambda *_: pytest.fail("it was asked"))
    event = {"late": False, "state": "unasked: it hangs", "unasked": "it has not answered since noon"}
    waits = deferred(task, context, event)
    assert "it has not answered since noon" in context["task_state_store"][SHOWN_AS]["why"]
    assert waits.trigger.known == "unasked: it hangs"
    with pytest.raises(DataLate, match="has not answered since noon"):
        task.resume(due(ASKED - timedelta(days=1)), event={**event, "late": True})


def test_it_is_looked_as_often_as_the_workload_declares_unless_the_dag_says(home: Path, workload: Path) -> None:
    workload.write_text(f"{WORKLOAD}freshness: {{look_every_minutes: 30}}\n", encoding="utf-8")
    declared = DataFreshnessSensor(task_id="await_data", workload=str(workload))
    assert deferred(declared, due()).trigger.every == 1800
    own = DataFreshnessSensor(task_id="await_data", workload=str(workload), poke_interval=timedelta(minutes=5))
    assert deferred(own, due()).trigger.every == 300
