"""A test run that is stopped leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from muster.processes import runs, wait_until_ended
from muster_local import PROJECT

SERVICE = "import time; time.sleep(60)"
RUN = f"""
import subprocess, sys, time
from tests import reaper
reaper.start()
print(subprocess.Popen([sys.executable, "-c", {SERVICE!r}], start_new_session=True).pid, flush=True)
time.sleep(60)
"""
COMMAND = f"""
import os, sys
from muster_local.cli.test import _run
_run(["python", "-c", {RUN!r}], dict(os.environ))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("program", [RUN, COMMAND], ids=["pytest is stopped", "the command is stopped"])
def test_nothing_is_left_whichever_process_is_stopped(program: str, number: signal.Signals) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert started.stdout is not None
    service = psutil.Process(int(started.stdout.readline()))
    assert runs(service)
    started.send_signal(number)
    started.wait(30)
    wait_until_ended([service], 10)
    assert not runs(service)
