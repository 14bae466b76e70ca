"""The real `./muster up`, stopped while it starts the services: none of them goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

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


def processes(settings: Settings) -> list[psutil.Process]:
    return [one for _, one in process.processes_of_home(settings.home.resolve())]


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
