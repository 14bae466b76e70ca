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
from muster_airflow.exceptions import DataLate, DataSkipped, SourceRefused, WrongPartition
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


def due(run_after: datetime | None = None, cleared: int = 0, **more: Any) -> dict[str, Any]:
    """Return the context of a run that is due now, unless it is of another time."""
    run = {"run_id": "manual__1", "run_after": run_after or datetime.now(UTC), "clear_number": cleared}
    return context_of(dag_run=SimpleNamespace(**run), **more)


def deferred(task: DataFreshnessSensor, context: dict[str, Any], resumed: bool = False) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.resume(context, event={"late": False}) if resumed else task.execute(context)
    assert raised.value.method_name == "resume"
    return raised.value


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
    result = sensor().execute(context)
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

    assert asyncio.run(story()) == {"late": False}
    assert task.resume(context, event={"late": False})["fresh"] is True


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

    assert asyncio.run(story()) == {"late": False}


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
    waits = deferred(task, context, resumed=True)
    assert context["task_state_store"][SHOWN_AS]["why"].startswith(f"days that cannot be taken: {LAST}: landed file")
    deferred(task, context)  # a retry
    assert len(counted) == 1
    assert asyncio.run(fired(trigger_of(waits), 0.5)) is None
    put(LAST)
    assert asyncio.run(fired(trigger_of(waits))) == {"late": False}
    assert task.resume(context, event={})["fresh"] is True
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
    deferred(task, context, resumed=True)
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
    task, context = late(sensor, "late: go_on")
    result = task.execute(context)
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
    assert asyncio.run(fired(trigger_of(deferred(task, context)))) == {"late": True}
    with pytest.raises(DataLate):
        task.resume(context, event={"late": True})


def test_retries_share_a_deadline_and_a_cleared_task_waits_anew(sensor: Declare) -> None:
    task, store = sensor("wait_hours: 2"), State()
    asked = datetime.now(UTC) - timedelta(hours=1)
    first = deferred(task, due(asked, task_state_store=store)).trigger.deadline
    assert datetime.fromisoformat(first) == asked + timedelta(hours=2)
    retried = due(datetime.now(UTC), task_state_store=store, ti=Task(try_number=2))
    assert deferred(task, retried).trigger.deadline == first
    cleared = deferred(task, due(asked, 1, task_state_store=store)).trigger.deadline
    assert datetime.fromisoformat(cleared) > datetime.now(UTC) + timedelta(hours=1.9)
    assert store[DEADLINE]["cleared"] == 1
    assert store[SHOWN_AS]["until"] == datetime.fromisoformat(cleared).isoformat(timespec="seconds")


def test_a_cleared_task_counts_again_what_it_had_counted(sensor: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = answers.count_rows_and_groups
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *args: counted.append(1) or count(*args))
    put(*DAYS, cut=12)
    task, store, asked = sensor(), State(), datetime.now(UTC) - timedelta(hours=1)
    for cleared in (0, 0, 1, 1):
        deferred(task, due(asked, cleared, task_state_store=store))
    assert len(counted) == 2


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
    assert asyncio.run(fired(trigger_of(waits))) == {"late": False}
