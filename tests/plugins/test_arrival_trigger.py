"""The trigger that waits for data: it holds up no other, hangs with no source, and keeps a database's address."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from muster.settings.connections import connection_url, given, variable
from muster_airflow.sensors.freshness import DataFreshnessSensor
from muster_airflow.triggers import arrival, looks
from muster_airflow.triggers.arrival import ArrivalTrigger
from muster_airflow.triggers.looks import HANGS, Seen, see, unasked_state
from tests.plugins.airflow_task import WORKLOAD
from tests.plugins.late_data import DAYS, due, event_of, fired

SQL = 'source: {sql: "SELECT * FROM rides WHERE at >= :start AND at < :end", connection: rides_db}\nfreshness: {}\n'


def trigger(workload: Path, seconds: float, known: str = "known", partition: str = "2024-02-05") -> ArrivalTrigger:
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return ArrivalTrigger(str(workload), partition, known, deadline, every=0.05)


class Source:
    """A source that answers with these states, one a look; a number is of seconds for which it hangs first."""

    def __init__(self, *answers: Seen | float) -> None:
        self.answers, self.looks, self.at_once, self.most = list(answers), 0, 0, 0

    def __call__(self, workload: str, partition: str) -> Seen:
        self.looks, self.at_once = self.looks + 1, self.at_once + 1
        self.most = max(self.most, self.at_once)
        while isinstance(answer := self.answers[0], float):
            del self.answers[0]
            time.sleep(answer)
        if len(self.answers) > 1:
            del self.answers[0]
        self.at_once -= 1
        return answer


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Return a maker of sources that are looked at."""

    def make(*answers: Seen | float) -> Source:
        source = Source(*answers)
        monkeypatch.setattr(looks, "see", source)
        return source

    return make


OTHER = Seen("other")
DOWN = Seen("unasked: NotAvailable: it is down", "it is down")


def test_a_slow_source_holds_up_no_other_trigger(workload: Path, of: Callable[..., Source]) -> None:
    of(0.5, OTHER)

    async def story() -> int:
        event, ticks = asyncio.create_task(event_of(trigger(workload, 30))), 0
        while not event.done():
            await asyncio.sleep(0.02)
            ticks += 1
        assert event.result() == {"late": False, "same": "other"}
        return ticks

    assert asyncio.run(story()) > 20


def test_many_sources_that_hang_blind_no_other_wait(workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than Python's own pool has threads."""
    released = threading.Event()

    def see(_: str, partition: str) -> Seen:
        if partition.startswith("hangs"):
            released.wait(30)
        return OTHER

    monkeypatch.setattr(looks, "see", see)

    async def story() -> Any:
        hanging = [
            asyncio.create_task(event_of(trigger(workload, 30, partition=f"hangs {number}"))) for number in range(40)
        ]
        await asyncio.sleep(0.1)
        event = await fired(trigger(workload, 30))
        for task in hanging:
            task.cancel()
        released.set()
        return event

    assert asyncio.run(story()) == {"late": False, "same": "other"}


def test_the_deadline_holds_though_a_source_hangs(workload: Path, of: Callable[..., Source]) -> None:
    of(1.5, OTHER)

    async def story() -> float:
        began = time.monotonic()
        assert await fired(trigger(workload, 0.3)) == {"late": True, "same": None, "settling": False}
        return time.monotonic() - began

    assert asyncio.run(story()) < 1.2


def test_a_look_that_hangs_is_told_once_and_none_is_begun_beside_it(
    workload: Path, of: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PATIENCE", 0.1)
    source = of(0.8, OTHER)

    async def story() -> tuple[Any, Any]:
        told = await fired(trigger(workload, 30))
        return told, await fired(trigger(workload, 30, told["state"]))  # as the task waits on

    told, answered = asyncio.run(story())
    assert (told["late"], told["state"]) == (False, HANGS)
    assert told["unasked"].startswith("it has not answered since 20")
    assert answered == {"late": False, "same": "other"}
    assert (source.most, source.looks) == (1, 2)  # the one that hung is of both triggers


def test_a_store_that_is_down_wakes_the_task_once_however_it_fails(
    workload: Path, of: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PATIENCE", 0.05)
    of(*[0.1, DOWN] * 6, DOWN)

    async def story() -> tuple[Any, Any]:
        told = await fired(trigger(workload, 30))
        why = await fired(trigger(workload, 30, told["state"]))
        return why, await fired(trigger(workload, 0.6, DOWN.state))

    why, nothing = asyncio.run(story())
    assert why == {"late": False, "state": DOWN.state, "unasked": "it is down"}
    assert nothing["late"] is True


def test_an_error_is_the_same_whatever_seconds_it_took() -> None:
    first, second = (unasked_state(OSError(f"after 10 retries in {seconds} s")) for seconds in ("180.2", "181"))
    assert first == second != unasked_state(OSError("another"))


def rides(folder: Path, days: int) -> Path:
    with sqlite3.connect(folder / "rides.db") as database:
        database.execute("DROP TABLE IF EXISTS rides")
        database.execute("CREATE TABLE rides (place, at, delay)")
        rows = [(place, f"{day} 06:00:00", 1.5) for day in DAYS[:days] for place in "abc"]
        database.executemany("INSERT INTO rides VALUES (?, ?, ?)", rows)
    return folder / "rides.db"


@pytest.fixture
def of_database(tmp_path: Path, home: Path, workload: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workload whose database only Airflow knows."""
    workload.write_text(WORKLOAD + SQL, encoding="utf-8")
    address = f'{{"conn_type": "sqlite", "host": "{rides(tmp_path, 6)}"}}'
    monkeypatch.setenv("AIRFLOW_CONN_RIDES_DB", address)
    return workload


def test_a_database_is_asked_by_airflows_connection_which_no_environment_tells(
    tmp_path: Path, of_database: Path
) -> None:
    task, context = DataFreshnessSensor(task_id="await_data", workload=str(of_database), poke_interval=0.05), due()
    with pytest.raises(TaskDeferred) as waits:
        task.execute(context)
    assert context["task_state_store"]["waiting_for_data"]["days"] == "6 of 7"
    assert variable("rides_db") not in os.environ
    assert connection_url("rides_db") is None
    assert "rides.db" not in str(waits.value.trigger.serialize())
    rides(tmp_path, 7)
    assert task.resume(context, event=asyncio.run(fired(waits.value.trigger)))["groups"] == 3


def test_a_database_that_does_not_answer_is_waited_for(
    tmp_path: Path, of_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "ann", "password": "hidden secret"}'
    known = os.environ["AIRFLOW_CONN_RIDES_DB"]
    monkeypatch.setenv("AIRFLOW_CONN_RIDES_DB", gone)
    task, context = DataFreshnessSensor(task_id="await_data", workload=str(of_database), poke_interval=0.05), due()
    with pytest.raises(TaskDeferred) as waits:
        task.execute(context)
    shown = context["task_state_store"]["waiting_for_data"]
    assert "does not answer" in shown["why"]
    assert "hidden" not in str(shown)
    seen = see(str(of_database), "2024-02-05")
    assert seen.state.startswith("unasked: DatabaseLost: ")
    assert seen.unasked is not None
    monkeypatch.setenv("AIRFLOW_CONN_RIDES_DB", known)
    rides(tmp_path, 7)
    assert task.resume(context, event=asyncio.run(fired(waits.value.trigger)))["fresh"] is True


def test_what_is_given_is_known_to_one_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("a_db"), "sqlite:///environment")

    async def story() -> list[str]:
        async def asked(text: str) -> str:
            with given({variable("a_db"): text}):
                await asyncio.sleep(0.05)
                url = await asyncio.to_thread(connection_url, "a_db")
            assert url is not None
            return url.get_secret_value()

        return list(await asyncio.gather(asked("sqlite:///one"), asked("sqlite:///two")))

    assert asyncio.run(story()) == ["sqlite:///one", "sqlite:///two"]
    url = connection_url("a_db")
    assert url is not None
    assert url.get_secret_value() == "sqlite:///environment"
