"""Until when a task waits for data, and what it does then; retried, cleared, backfilled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from muster.context import Context
from muster.deadlines.there import reached
from muster.freshness import answer as answers
from muster.settings import settings
from muster_airflow.exceptions import DataLate, DataSkipped
from muster_airflow.sensors.freshness import MISSING, DataFreshnessSensor
from muster_airflow.sensors.waiting_for_data import DEADLINE
from tests.plugins.airflow_task import State, Task
from tests.plugins.late_data import (
    ASKED,
    DAYS,
    LAST,
    Declare,
    deferred,
    due,
    late,
    put,
    second_look,
    taken,
    woken,
)


def test_by_its_deadline_it_fails_with_what_is_missing_and_what_to_do(sensor: Declare) -> None:
    put(*DAYS[:-1])
    task, context = late(sensor, "late: fail")
    with pytest.raises(DataLate, match=r"were not fresh by .*: no landed file for 2024-02-11 .* clear this") as failed:
        task.execute(context)
    assert isinstance(failed.value, AirflowFailException)  # no retry would find more


def test_by_its_deadline_it_goes_on_without_the_days_that_are_missing(sensor: Declare) -> None:
    put(*DAYS[:3], *DAYS[5:])
    result = taken(*(run := late(sensor, "late: go_on")))
    context = run[1]
    assert (result["fresh"], result["days"]) == (False, "5 of 7")
    assert context["ti"].pushed[MISSING] == "2024-02-08,2024-02-09"


def test_there_is_nothing_to_go_on_with_where_no_day_has_come(sensor: Declare) -> None:
    task, context = late(sensor, "late: go_on")
    with pytest.raises(DataSkipped):
        task.execute(context)


@pytest.mark.parametrize(("freshness", "more"), [("late: skip", {}), ("late: fail", {"soft_fail": True})])
def test_by_its_deadline_it_skips_what_follows(
    sensor: Declare, freshness: str, more: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    put(*DAYS[:-1])
    task, context = late(sensor, freshness, **more)
    with pytest.raises(AirflowSkipException):
        task.execute(context)
    assert "partition 2024-02-05 is skipped, its data were not fresh by" in capsys.readouterr().out


@pytest.mark.parametrize("does", ["skip", "fail"])
def test_why_ingest_does_not_run_is_in_the_store_for_deadlines_until_the_data_have_come(
    sensor: Declare, does: str
) -> None:
    put(*DAYS[:-1])
    task, context = sensor(f"wait_hours: 0, late: {does}"), due()
    with pytest.raises((DataLate, DataSkipped)) as error:
        task.execute(context)
    made = Context.of_file(Path(task.workload), settings()).at("2024-02-05")
    assert str(error.value)[:200] in str(reached(made, "score").why)
    assert ("ingest was skipped" in str(reached(made, "score").why)) == (does == "skip")
    put(LAST)
    taken(task, due())
    assert reached(made, "score").why is None


def test_a_store_that_takes_no_file_changes_nothing_of_what_is_done(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("muster.storage.files.Files.put", refuse)
    with pytest.raises(DataLate):
        sensor("wait_hours: 0").execute(due())
    assert "cannot write down why ingest does not run: [Errno 28] No space left" in capsys.readouterr().out


def test_the_trigger_wakes_it_at_the_deadline(sensor: Declare) -> None:
    put(*DAYS[:-1])
    task, context = sensor("wait_hours: 0.0002"), due()
    event = woken(deferred(task, context))
    assert event["late"] is True
    with pytest.raises(DataLate):
        task.resume(context, event=event)


def deadlines(task: DataFreshnessSensor, *contexts: dict[str, Any]) -> list[datetime]:
    """Return until when a task waits in these contexts, one after another, with one store."""
    store = State()
    return [
        datetime.fromisoformat(deferred(task, {**context, "task_state_store": store}).trigger.deadline)
        for context in contexts
    ]


def test_retries_share_a_deadline_though_another_task_of_the_run_is_cleared(sensor: Declare) -> None:
    task = sensor("wait_hours: 2", retries=1)
    of_another = due(ASKED, ti=Task(try_number=2, max_tries=1))
    of_another["dag_run"].clear_number = 1
    assert deadlines(task, due(ASKED, ti=Task(max_tries=1)), of_another) == [ASKED + timedelta(hours=2)] * 2


def test_a_task_that_a_human_has_cleared_waits_anew_each_time_and_its_retry_no_longer(sensor: Declare) -> None:
    task = sensor("wait_hours: 2", retries=1)
    tries = [(1, 1), (2, 2), (3, 2), (4, 4)]
    first, cleared, retried, again = deadlines(
        task, *(due(ASKED, ti=Task(try_number=number, max_tries=most)) for number, most in tries)
    )
    assert first == ASKED + timedelta(hours=2)
    assert cleared == retried < again
    assert cleared > datetime.now(UTC) + timedelta(hours=1.9)


def test_a_cleared_task_waits_anew_though_its_state_is_gone_with_its_success(sensor: Declare) -> None:
    (deadline,) = deadlines(sensor("wait_hours: 2", retries=1), due(ASKED, ti=Task(try_number=2, max_tries=2)))
    assert deadline > datetime.now(UTC) + timedelta(hours=1.9)


def test_a_backfill_that_takes_up_a_run_once_more_begins_no_wait_and_a_human_after_it_does(sensor: Declare) -> None:
    task = sensor("wait_hours: 2", retries=1)
    by_backfill, by_human = Task(try_number=2, max_tries=2), Task(try_number=3, max_tries=3)
    first, again, cleared = deadlines(
        task,
        due(ASKED, ti=Task(max_tries=1)),
        due(ASKED, "backfill", ti=by_backfill),
        due(ASKED, "backfill", ti=by_human),
    )
    assert first == again == ASKED + timedelta(hours=2)
    assert cleared > datetime.now(UTC) + timedelta(hours=1.9)
    assert deadlines(task, due(ASKED, "backfill", ti=by_backfill)) == [first]  # its state has expired


def test_a_wait_that_began_before_an_upgrade_goes_on(sensor: Declare) -> None:
    task, store = sensor("wait_hours: 2"), State()
    store[DEADLINE] = {"due": ASKED.isoformat(), "until": "unused", "cleared": 1}
    waits = deferred(task, due(ti=Task(max_tries=3), task_state_store=store))
    assert datetime.fromisoformat(waits.trigger.deadline) == ASKED + timedelta(hours=2)


def test_a_cleared_task_counts_again_what_it_had_counted(sensor: Declare, counted: list[int]) -> None:
    put(*DAYS, cut=12)
    task, store = sensor(), State()
    for cleared in (0, 1):
        context = due(ASKED, ti=Task(max_tries=cleared), task_state_store=store)
        deferred(task, context, second_look(task, context))
        deferred(task, context)  # a retry
        assert len(counted) == cleared + 1


def test_a_slice_that_has_not_ended_is_not_due_and_a_backfill_of_long_ago_is_late_at_once(sensor: Declare) -> None:
    task = sensor()
    of_backfill = due(datetime(2024, 2, 5, 6, tzinfo=UTC))
    with pytest.raises(DataLate, match=r"were not fresh by 2024-02-12T12:00\+00:00"):
        task.execute(of_backfill)
    ahead = datetime.now(UTC).date() + timedelta(days=14)
    partition = str(ahead - timedelta(days=(ahead - DAYS[0]).days % 7))
    ends = datetime.fromisoformat(partition).replace(tzinfo=UTC) + timedelta(days=7)
    waits = deferred(task, {**due(), "partition_key": partition})
    assert datetime.fromisoformat(waits.trigger.deadline) == ends + timedelta(hours=12)


def test_what_goes_on_late_returns_what_was_counted_before(sensor: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    put(*DAYS[:-1])
    put(LAST, cut=12)
    task, context = sensor("late: go_on, wait_hours: 0.001"), due()
    waits = deferred(task, context, second_look(task, context))
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *_: pytest.fail("it was counted again"))
    result = task.resume(context, event=woken(waits))
    assert (result["fresh"], result["row_count"], result["groups"]) == (False, 18, 3)
    assert (result["days"], result["problems"][0][:26]) == ("7 of 7", "days that cannot be taken:")
