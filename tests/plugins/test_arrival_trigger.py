"""The trigger that waits for data: it holds up no other, hangs with no source, and keeps a database's address."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import TaskDeferred

from muster.settings.connections import connection_url, given, variable
from muster_airflow.sensors.freshness import DataFreshnessSensor
from muster_airflow.triggers import arrival
from muster_airflow.triggers.arrival import ArrivalTrigger, state_of
from tests.plugins.airflow_task import WORKLOAD
from tests.plugins.test_freshness import DAYS, due, event_of, fired

SQL = 'source: {sql: "SELECT * FROM rides WHERE at >= :start AND at < :end", connection: rides_db}\nfreshness: {}\n'


def trigger(workload: Path, seconds: float, known: str | None = "known") -> ArrivalTrigger:
    deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return ArrivalTrigger(str(workload), "2024-02-05", known, deadline, every=0.05)


def test_a_slow_source_holds_up_no_other_trigger(workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "state_of", lambda *_: time.sleep(0.5) or "other")

    async def story() -> int:
        event, ticks = asyncio.create_task(event_of(trigger(workload, 30))), 0
        while not event.done():
            await asyncio.sleep(0.02)
            ticks += 1
        assert event.result() == {"late": False}
        return ticks

    assert asyncio.run(story()) > 25


def test_the_deadline_holds_though_a_source_hangs(workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "state_of", lambda *_: time.sleep(1.5) or "other")

    async def story() -> float:
        began = time.monotonic()
        assert await fired(trigger(workload, 0.3)) == {"late": True}
        return time.monotonic() - began

    assert asyncio.run(story()) < 1.2


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
    assert asyncio.run(fired(waits.value.trigger)) == {"late": False}
    assert task.resume(context, event={})["groups"] == 3


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
    assert state_of(str(of_database), "2024-02-05").startswith("DatabaseLost: ")
    monkeypatch.setenv("AIRFLOW_CONN_RIDES_DB", known)
    rides(tmp_path, 7)
    assert asyncio.run(fired(waits.value.trigger)) == {"late": False}
    assert task.resume(context, event={})["fresh"] is True


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
