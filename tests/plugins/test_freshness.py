"""A task that waits for data: what it tells, when it goes on, what it does by its deadline; retried, cleared, woken."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from muster.freshness import answer as answers
from muster.settings import settings
from muster_airflow.exceptions import DataLate, DataSkipped, SourceRefused
from muster_airflow.sensors.freshness import MISSING, DataFreshnessSensor
from muster_airflow.sensors.waiting_for_data import DEADLINE, SHOWN_AS
from tests.plugins.airflow_task import WORKLOAD, State, Task, context_of

DAYS = [date(2024, 2, 5) + timedelta(days=number) for number in range(7)]
LAST = DAYS[-1]
Declare = Callable[..., DataFreshnessSensor]


@pytest.fixture
def sensor(home: Path, workload: Path) -> Declare:
    """Return a maker of sensors of a workload with these keys of `freshness`."""

    def make(freshness: str = "", **more: Any) -> DataFreshnessSensor:
        workload.write_text(f"{WORKLOAD}freshness: {{{freshness}}}\n", encoding="utf-8")
        return DataFreshnessSensor(task_id="await_data", workload=str(workload), poke_interval=0.05, **more)

    return make


def put(*days: date, cut: int = 0) -> None:
    landing = Path(settings().store_root, "landing", "made")
    landing.mkdir(parents=True, exist_ok=True)
    for day in days:
        text = "place,at,delay\n" + "".join(f"{place},{day}T06:00:00,1\n" for place in "abc")
        content = gzip.compress(text.encode(), mtime=0)
        (landing / f"{day}.csv.gz").write_bytes(content[: len(content) - cut])


def due(run_after: datetime | None = None, run_type: str = "manual", **more: Any) -> dict[str, Any]:
    """Return the context of a run that is due now, unless it is of another time."""
    run = {"run_id": "manual__1", "run_after": run_after or datetime.now(UTC), "run_type": run_type}
    return context_of(dag_run=SimpleNamespace(**run), **more)


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


def test_half_a_file_is_read_once_and_again_when_it_is_delivered_again(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = answers.count_rows_and_groups
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *args: counted.append(1) or count(*args))
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


def late(sensor: Declare, freshness: str, **more: Any) -> tuple[DataFreshnessSensor, dict[str, Any]]:
    return sensor(freshness, **more), due(datetime.now(UTC) - timedelta(hours=13))


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


ASKED = datetime.now(UTC) - timedelta(hours=1)


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


def test_a_cleared_task_counts_again_what_it_had_counted(sensor: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = answers.count_rows_and_groups
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *args: counted.append(1) or count(*args))
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


def test_a_wrong_partition_and_a_source_of_other_columns_are_no_reason_to_wait(sensor: Declare, workload: Path) -> None:
    with pytest.raises(SourceRefused, match="'2024-02-06' is no partition of made"):
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


def test_a_half_written_file_that_holds_all_limits_is_not_taken_before_it_is_the_same_at_two_looks(
    sensor: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = answers.count_rows_and_groups
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *args: counted.append(1) or count(*args))
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


def test_what_goes_on_late_returns_what_was_counted_before(sensor: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    put(*DAYS[:-1])
    put(LAST, cut=12)
    task, context = sensor("late: go_on, wait_hours: 0.001"), due()
    waits = deferred(task, context, second_look(task, context))
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *_: pytest.fail("it was counted again"))
    result = task.resume(context, event=woken(waits))
    assert (result["fresh"], result["row_count"], result["groups"]) == (False, 18, 3)
    assert (result["days"], result["problems"][0][:26]) == ("7 of 7", "days that cannot be taken:")


def test_it_is_looked_as_often_as_the_workload_declares_unless_the_dag_says(home: Path, workload: Path) -> None:
    workload.write_text(f"{WORKLOAD}freshness: {{look_every_minutes: 30}}\n", encoding="utf-8")
    declared = DataFreshnessSensor(task_id="await_data", workload=str(workload))
    assert deferred(declared, due()).trigger.every == 1800
    own = DataFreshnessSensor(task_id="await_data", workload=str(workload), poke_interval=timedelta(minutes=5))
    assert deferred(own, due()).trigger.every == 300
