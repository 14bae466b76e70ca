"""What every backend promises the operator: the same small job, well and badly, on each of them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from muster_airflow.backends import BACKENDS, PLAIN
from muster_airflow.backends.process import RUN_KEY
from muster_airflow.backends.protocol import Backend, Done, Failed, Handle, JobCall, Later, Outcome
from tests.shared import bring_jars

JOB = """
import json, os, pathlib, signal, sys, time

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
does = arguments["--option"].partition("=")[2]
result = pathlib.Path(arguments["--result"])


def write(**values):
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(values))


print("begins", os.getpid(), flush=True)
if does == "succeeds":
    write(rows=3, secret=os.environ["MLFLOW_TRACKING_PASSWORD"])
elif does == "refuses":
    sys.stderr.write("error: the file is empty\\n")
    sys.exit(os.EX_DATAERR)
elif does == "waits":
    write(until="2030-01-01T00:00:00+00:00", why="throttled")
    sys.exit(os.EX_TEMPFAIL)
elif does == "breaks":
    1 / 0
elif does == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
elif does == "writes half":
    write(rows=3)
    result.write_text(result.read_text()[:4])
elif does == "writes a list":
    write()
    result.write_text("[1]")
elif does == "waits for nothing":
    write()
    sys.exit(os.EX_TEMPFAIL)
elif does == "sleeps":
    time.sleep(300)
"""
PASSWORD = "pa55word-of-the-job"
CONNECTIONS = {
    "SPARK_CONNECT": {"conn_type": "spark_connect", "host": "sc://nowhere", "port": 1},
    "SPARK_DEFAULT": {"conn_type": "spark", "host": "local[1]", "extra": {"conf": {"spark.ui.enabled": "false"}}},
}


class Runner:
    """Runs the job on one backend, as the operator does."""

    def __init__(self, backend: Backend, call: JobCall) -> None:
        self.backend, self.call = backend, call
        self.lines: list[str] = []

    def submit(self, does: str, attempt: str = "1") -> Handle:
        self.lines.clear()
        return self.backend.submit(replace(self.call, attempt=attempt, options={"does": does}))

    def until(self, handle: Handle, text: str) -> str:
        """Poll until the job has written a line that begins so; return the line."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            status = self.backend.poll(handle)
            self.lines += status.lines
            for line in self.lines:
                if line.startswith(text):
                    return line
            assert status.running, self.lines
        raise AssertionError(f"no line '{text}': {self.lines}")

    def wait(self, handle: Handle) -> Outcome:
        while (status := self.backend.poll(handle)).running:
            self.lines += status.lines
        self.lines += status.lines
        return self.backend.result(handle)

    def run(self, does: str) -> Outcome:
        return self.wait(self.submit(does))


@pytest.fixture(
    params=["plain", "connect", pytest.param("submit", marks=[pytest.mark.slow, pytest.mark.spark])],
)
def runner(request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Each backend, with a job of its own."""
    for name, value in CONNECTIONS.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "secret of Airflow's own")
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    if request.param == "submit":
        bring_jars(home)
    backend = PLAIN if request.param == "plain" else BACKENDS[request.param]
    environment = {"MLFLOW_TRACKING_PASSWORD": PASSWORD}
    key = f"{tmp_path} made train 2024-02-05"
    call = JobCall("train", "w/made.yaml", "2024-02-05", "1", str(tmp_path / "job.py"), {}, environment, key)
    return Runner(backend, call)


def alive(line: str) -> bool:
    """Tell whether the process that wrote `begins PID` is still there."""
    pid = int(line.split()[1])
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def stops(line: str) -> bool:
    deadline = time.monotonic() + 10
    while alive(line) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(line)


def processes_of(run_key: str) -> list[Any]:
    """Return the processes that bear a run key."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_KEY) == run_key and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except (psutil.Error, OSError):
            continue
    return processes


def test_a_job_that_succeeds_gives_its_result_and_knows_what_its_environment_says(runner: Runner) -> None:
    handle = runner.submit("succeeds")
    assert Handle(**json.loads(json.dumps(vars(handle)))) == handle  # of plain values
    assert runner.wait(handle) == Done({"rows": 3, "secret": PASSWORD})
    assert os.environ.get(RUN_KEY) is None


def test_bad_input_is_no_reason_to_try_again(runner: Runner) -> None:
    assert runner.run("refuses") == Failed("the file is empty", retryable=False)


def test_a_job_that_has_to_wait_says_until_when_and_why(runner: Runner) -> None:
    assert runner.run("waits") == Later(datetime(2030, 1, 1, tzinfo=UTC), "throttled")


def test_a_job_that_breaks_is_worth_another_try_and_named_by_what_it_wrote_last(runner: Runner) -> None:
    outcome = runner.run("breaks")
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert any("ZeroDivisionError" in line for line in runner.lines)


def test_a_job_that_is_killed_is_worth_another_try(runner: Runner) -> None:
    outcome = runner.run("dies")
    assert isinstance(outcome, Failed)
    assert outcome.retryable


@pytest.mark.parametrize("runner", ["plain", "connect"], indirect=True)  # once a job has ended well all are alike
@pytest.mark.parametrize("does", ["nothing", "writes half", "writes a list", "waits for nothing"])
def test_a_result_that_is_not_there_or_cannot_be_read_is_a_failure_that_names_its_file(
    runner: Runner, does: str
) -> None:
    outcome = runner.run(does)
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert f"wrote {'no result to' if does == 'nothing' else 'a result that cannot be read,'} '" in outcome.message


def test_a_running_job_tells_its_lines_and_no_secret_and_leaves_nothing_when_cancelled(
    runner: Runner, home: Path
) -> None:
    handle = runner.submit("sleeps")
    line = runner.until(handle, "begins")
    assert alive(line)
    processes = processes_of(runner.call.run_key)
    arguments = [" ".join(process.cmdline()) for process in processes]
    assert arguments
    assert not [line for line in (*arguments, *runner.lines, repr(handle), repr(runner.call)) if PASSWORD in line]
    assert "secret of Airflow's own" not in {value for process in processes for value in process.environ().values()}
    runner.backend.cancel(handle)
    assert stops(line)
    assert isinstance(runner.wait(handle), Failed)
    assert processes_of(runner.call.run_key) == []
    assert not [file for file in (home / "submit").rglob("*") if file.is_file()]


def test_the_next_attempt_ends_what_an_earlier_one_left(runner: Runner) -> None:
    earlier = runner.until(runner.submit("sleeps"), "begins")
    assert isinstance(runner.wait(runner.submit("succeeds", attempt="2")), Done)
    assert stops(earlier)
