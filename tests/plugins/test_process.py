"""A job's process ends with the one that started it, and what is left over is found again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from muster import die_with_parent
from muster_airflow.backends import process
from muster_airflow.backends.process import RUN_KEY, JobProcess, stop_leftovers

SLEEPING = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(60)",
]
STARTER = """
import os, sys
from muster_airflow.backends.process import JobProcess
started = JobProcess({arguments!r}, os.environ)
print(started.pid, flush=True)
started.stream(lambda line: print(line, flush=True))
"""
NEGLECTFUL = """
import os, subprocess, sys, time
job = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(job, env={**os.environ, "MUSTER_RUN_KEY": "of-the-neglectful"}).pid, flush=True)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def within(seconds: float, true: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def start(arguments: list[str], run_key: str) -> JobProcess:
    """Start a process that is up: it has said so."""
    job = JobProcess(arguments, {**os.environ, RUN_KEY: run_key})
    assert job._process.stdout is not None
    assert job._process.stdout.readline() == "here\n"
    return job


def test_every_line_of_both_streams_is_passed_on_in_order() -> None:
    lines: list[str] = []
    script = "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); sys.exit(3)"
    assert JobProcess([sys.executable, "-c", script], os.environ).stream(lines.append) == 3
    assert lines == ["one", "two"]


def test_a_line_comes_when_it_is_written_not_at_the_end() -> None:
    times: list[float] = []
    script = "import time; print('one', flush=True); time.sleep(1)"
    JobProcess([sys.executable, "-c", script], os.environ).stream(lambda _: times.append(time.monotonic()))
    assert time.monotonic() - times[0] > 0.8


def test_bytes_that_are_no_text_do_not_break_the_log() -> None:
    lines: list[str] = []
    script = r"import sys; sys.stdout.buffer.write(b'\xff\n')"
    assert JobProcess([sys.executable, "-c", script], os.environ).stream(lines.append) == 0
    assert lines == ["\ufffd"]


def test_a_job_ends_when_its_task_is_killed_without_warning() -> None:
    code = STARTER.format(arguments=SLEEPING)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as task:
        assert task.stdout is not None
        job = int(task.stdout.readline())
        assert task.stdout.readline() == "here\n"
        task.kill()
        assert within(5, lambda: not runs(job))


def test_a_job_whose_task_is_gone_before_it_starts_does_not_start(tmp_path: Path) -> None:
    tied = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid() + 1)]
    completed = subprocess.run([*tied, sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    assert completed.returncode == 128 + 15
    assert not (tmp_path / "ran").exists()


def test_a_job_that_does_not_listen_is_made_to_end(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(process, "GRACE", 0.3)
    job = start(DEAF, "deaf")
    job.stop()
    assert within(5, lambda: not runs(job.pid))


def test_an_earlier_attempts_processes_are_ended_and_no_others(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(process, "GRACE", 0.5)
    leftover, deaf, other = (
        start(SLEEPING, "store a train 1"),
        start(DEAF, "store a train 1"),
        start(SLEEPING, "store a 2"),
    )
    assert sorted(stop_leftovers("store a train 1")) == sorted([leftover.pid, deaf.pid])
    assert not runs(leftover.pid)
    assert not runs(deaf.pid)
    assert runs(other.pid)
    other.stop()


def test_without_leftovers_nothing_is_ended() -> None:
    assert stop_leftovers("nobody has this key") == []


def test_what_has_ended_is_no_leftover_though_nobody_asks_for_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose first process takes no exit codes: what is killed stays there as a zombie."""
    monkeypatch.setattr(process, "GRACE", 2.0)
    with subprocess.Popen([sys.executable, "-c", NEGLECTFUL], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        job = int(parent.stdout.readline())
        assert within(10, lambda: psutil.Process(job).environ().get(RUN_KEY) == "of-the-neglectful")
        began = time.monotonic()
        assert stop_leftovers("of-the-neglectful") == [job]
        assert time.monotonic() - began < process.GRACE
        assert psutil.Process(job).status() == psutil.STATUS_ZOMBIE
        parent.kill()
