"""The real services: healthy together, and gone after `down` whatever happened to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from muster.settings import Settings
from muster_local import local, process
from muster_local.environment import environment
from tests.shared import settings_of

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    stack_settings = settings_of(tmp_path / "home")
    yield stack_settings
    local.stop(stack_settings)


def muster(settings: Settings, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "muster_local", *arguments]


def status(url: str, host: str) -> int:
    """Return how a request is answered that calls this machine by a name, as a browser does."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers={"Host": host}, timeout=30).status_code


def processes(settings: Settings) -> list[psutil.Process]:
    return [one for _, one in process.processes_of_home(settings.home.resolve())]


def test_all_services_become_healthy_and_down_leaves_nothing_after_a_crash(settings: Settings) -> None:
    local.start(settings)
    states = local.status(settings)
    assert [state.healthy for state in states] == [True] * 6
    assert (settings.home / "airflow" / "secret").stat().st_mode & 0o777 == 0o600

    tokens = {host: status(f"{settings.airflow_url}/auth/token", host) for host in ("localhost", "evil.example:8680")}
    assert tokens == {"localhost": 201, "evil.example:8680": 400}

    began = time.monotonic()
    local.start(settings)
    assert time.monotonic() - began < 5
    assert [state.pid for state in local.status(settings)] == [state.pid for state in states]

    # The scheduler dies without a word, its children live on, and the records are lost.
    scheduler = next(state for state in states if state.service == "airflow-scheduler")
    os.kill(scheduler.pid or 0, signal.SIGKILL)
    for record in (settings.home / "run").glob("*.json"):
        record.unlink()
    down = subprocess.run(muster(settings, "down"), env=environment(settings), capture_output=True, text=True)
    assert down.returncode == 0, down.stderr
    assert processes(settings) == []
    again = subprocess.run(muster(settings, "down"), env=environment(settings), capture_output=True, text=True)
    assert again.stdout == "Nothing was running.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_that_is_stopped_leaves_nothing_running(settings: Settings, number: signal.Signals) -> None:
    up = subprocess.Popen(muster(settings, "up", "--weeks", "0"), env=environment(settings), stdout=subprocess.PIPE)
    while len(processes(settings)) < 3:
        assert up.poll() is None
        time.sleep(0.1)
    up.send_signal(number)
    assert up.wait(timeout=60) == 128 + number
    assert processes(settings) == []
    status = subprocess.run(muster(settings, "status", "--json"), env=environment(settings), capture_output=True)
    assert [service["pid"] for service in json.loads(status.stdout)["services"]] == [None] * 6
