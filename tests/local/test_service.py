"""Starting a service: left alone when it runs, told when it dies, replaced after a crash."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from muster.processes import runs
from muster.settings import Settings
from muster_local import airflow_services, local, process
from muster_local.cli import up
from muster_local.errors import NotHealthy, PortInUse, ServiceDied
from muster_local.ports import Port, accepts_connections, free_ports
from muster_local.service import Part, Service, Starter

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    yield Starter(tmp_path, "127.0.0.1", os.environ, threading.Event(), lambda *_: None)
    process.stop(tmp_path)


@pytest.fixture
def service() -> Service:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", LISTEN, str(port)]
    return Service(
        "one", "One", command, lambda: accepts_connections("127.0.0.1", port), [Port(port, "MUSTER_ONE_PORT")]
    )


def pid(starter: Starter, service: str = "one") -> int:
    record = process.read_record(starter.home, service)
    assert record is not None
    return record.pid


def test_a_running_service_is_left_alone(starter: Starter, service: Service) -> None:
    prepared: list[str] = []
    part = Part("part", [service], lambda: prepared.append("once"))
    starter.start(part)
    first = pid(starter)
    starter.start(part)
    assert pid(starter) == first
    assert prepared == ["once"]


def test_a_service_that_needs_another_starts_once_that_one_answers(starter: Starter, service: Service) -> None:
    answered: list[bool] = []

    def on_state(name: str, state: str) -> None:
        if (name, state) == ("needy", "starting"):
            answered.append(service.healthy())

    needy = replace(service, name="needy", command=["sleep", "60"], ports=(), after="one")
    replace(starter, on_state=on_state).start(Part("part", [needy, service]))
    assert answered == [True]


def test_a_service_that_dies_is_told_while_another_waits_for_it(starter: Starter, service: Service) -> None:
    dying = replace(service, command=[sys.executable, "-c", "raise SystemExit('no such database')"])
    needy = replace(service, name="needy", command=["sleep", "60"], ports=(), after="one")
    with pytest.raises(ServiceDied, match="One exited with code 1: no such database"):
        starter.start(Part("part", [dying, needy]))
    assert process.read_record(starter.home, "needy") is None


def test_airflow_runs_nothing_before_its_api_server_answers(tmp_path: Path) -> None:
    services = airflow_services.part(Settings(home=tmp_path), lambda: None).services
    assert {service.name: service.after for service in services} == {
        "airflow-api": "",
        "airflow-dags": "",
        "airflow-scheduler": "airflow-api",
        "airflow-triggerer": "airflow-api",
    }


def test_the_environment_says_how_often_airflow_looks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "300")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    airflow = airflow_services.environment(Settings(home=tmp_path), tmp_path)
    assert airflow["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] == "300"
    assert airflow["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"] == "0.5"
    assert airflow["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


def test_what_a_crash_left_gives_way_to_a_new_start(starter: Starter, service: Service) -> None:
    starter.start(Part("part", [service]))
    first = pid(starter)
    process.record_file(starter.home, "one").unlink()
    starter.start(Part("part", [service]))
    assert pid(starter) != first


def test_a_service_that_dies_is_told_with_its_last_words(starter: Starter, service: Service) -> None:
    dying = replace(service, command=[sys.executable, "-c", "raise SystemExit('no such database')"])
    with pytest.raises(ServiceDied, match="One exited with code 1: no such database"):
        starter.start(Part("part", [dying]))


def test_a_service_that_never_answers_is_told(
    starter: Starter, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster_local.service.HEALTH_TIMEOUT", 0.5)
    with pytest.raises(NotHealthy, match="One was not healthy"):
        starter.start(Part("part", [replace(service, healthy=lambda: False)]))


def test_a_taken_port_is_told_before_anything_starts(starter: Starter, service: Service) -> None:
    starter.start(Part("part", [service]))
    prepared: list[str] = []
    other = replace(service, name="two", title="Two")
    with pytest.raises(PortInUse, match="of Two is in use"):
        starter.start(Part("other", [other], lambda: prepared.append("once")))
    assert not prepared


@pytest.fixture
def two_parts(starter: Starter, service: Service, monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """A stack of two services, the first of which runs already: another command has started it."""
    other = replace(service, name="two", command=[sys.executable, "-c", "import time; time.sleep(60)"], ports=())
    parts = [Part("mlflow", [service]), Part("spark", [other])]
    monkeypatch.setattr(local, "_parts", lambda *_: parts)
    monkeypatch.setattr(local, "environment", lambda _: dict(os.environ))
    starter.start(parts[0])
    return parts


def test_a_start_that_fails_stops_what_it_started_and_nothing_else(starter: Starter, two_parts: list[Part]) -> None:
    before = pid(starter)
    two_parts[1] = Part("spark", [replace(two_parts[1].services[0], command=["false"], healthy=lambda: False)])
    with pytest.raises(ServiceDied):
        local.start(Settings(home=starter.home))
    assert psutil.pid_exists(before)
    assert pid(starter) == before
    assert process.read_record(starter.home, "two") is None


def test_what_begins_while_a_start_is_given_up_is_stopped_too(
    starter: Starter, two_parts: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, begun = threading.Event(), threading.Event()
    stop = local.stop

    def stop_and_say_so(*arguments: Any, **named: Any) -> int:
        count = stop(*arguments, **named)
        stopped.set()
        return count

    def prepare_slowly() -> None:
        stopped.wait(10)  # the other part has failed, and what ran is gone
        process.start("late", [sys.executable, "-c", "import time; time.sleep(60)"], home=starter.home, env=os.environ)
        begun.set()

    late = replace(two_parts[1].services[0], name="three")
    two_parts[1] = Part("spark", [replace(late, name="two", command=["false"], healthy=lambda: False)])
    two_parts.append(Part("airflow", [late], prepare_slowly))
    monkeypatch.setattr(local, "stop", stop_and_say_so)
    with pytest.raises(ServiceDied):
        local.start(Settings(home=starter.home))
    assert begun.wait(10)
    assert [name for name, _ in process.processes_of_home(starter.home)] == ["one"]


def test_an_up_that_is_stopped_stops_what_it_started_and_nothing_else(
    starter: Starter, two_parts: list[Part], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=starter.home)
    running = local.start(settings)
    assert running == {"one"}
    first, second = pid(starter), pid(starter, "two")
    with pytest.raises(SystemExit), up.stopping_what_was_started(settings, running, Console()):
        sys.exit(130)
    assert runs(psutil.Process(first))
    assert process.read_record(starter.home, "two") is None
    with suppress(psutil.NoSuchProcess):
        assert not runs(psutil.Process(second))
    assert "Services that ran before go on" in capsys.readouterr().out
    with pytest.raises(SystemExit), up.stopping_what_was_started(settings, set(), Console()):
        sys.exit(130)
    assert list(process.processes_of_home(starter.home)) == []
