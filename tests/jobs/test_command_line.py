"""A job's arguments: a partition only for a job that is about one, and options only where they are declared."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from muster.context import Context
from muster.errors import MusterError
from muster.models.manifest_reader import CorruptManifest
from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.load import load_workload
from muster_jobs.command_line import main
from muster_jobs.job import Job
from tests.plugins.airflow_task import declare

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a job that returns its arguments."""
    workload = declare(tmp_path)

    def arguments_of(job: Job) -> dict[str, Any]:
        return {"partition": job.windows and job.windows.key, "options": dict(job.options), "tag": job.tag}

    def start(*arguments: str, **declared: Any) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(workload), *arguments])
        main("tell", arguments_of, **declared)
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return start


def test_a_stage_needs_a_partition(run: Run) -> None:
    assert run("--partition", "2024-02-05")["tag"] == "muster-made-tell-2024-02-05"
    with pytest.raises(SystemExit, match="2"):
        run()


def test_a_job_about_no_partition_refuses_one(run: Run) -> None:
    result = run(partitioned=False)
    assert (result["partition"], result["tag"]) == (None, "muster-made-tell")
    with pytest.raises(SystemExit, match="2"):
        run("--partition", "2024-02-05", partitioned=False)


def test_declared_options_reach_the_job_whatever_they_hold(run: Run) -> None:
    arguments = ("--option", "why=a = b\n", "--option", "to=3")
    assert run(*arguments, partitioned=False, options=("to", "why"))["options"] == {"why": "a = b\n", "to": "3"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [(["two=2"], "no option 'two'; there is: to"), (["to"], "not 'name=value'"), (["to=1", "to=2"], "given twice")],
)
def test_an_option_that_cannot_be_meant_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit, match=str(os.EX_DATAERR)):
        run(*(part for text in options for part in ("--option", text)), partitioned=False, options=("to",))
    assert problem in capsys.readouterr().err


class Later(MusterError):
    """Raised for what passes by itself."""

    retryable = True


class OfSpark(Exception):
    """Stands for an exception of pyspark: its text is one that Spark Connect sent."""

    __module__ = "pyspark.errors.exceptions.connect"


WORKER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
[PYTHON_EXCEPTION] An exception was thrown from the Python worker: Traceback (most recent call last):
  File "/muster/models/reader.py", line 38, in answer
    raise %s
%s
 SQLSTATE: 38000

JVM stacktrace:
org.apache.spark.api.python.PythonException
\tat org.apache.spark.api.python.BasePythonRunner.handle(PythonRunner.scala:734)"""
CORRUPT = "models of group 'A,B' in 'shard' have sha256 ab..., the manifest says cd..."
CONFLICT = """(io.delta.exceptions.ConcurrentAppendException) [DELTA_CONCURRENT_APPEND] Files were added to it.
Conflicting commit: {"timestamp":1795714791318}

JVM stacktrace:
io.delta.exceptions.ConcurrentAppendException
\tat org.apache.spark.sql.delta.DeltaErrors"""


def of_worker(line: str) -> OfSpark:
    return OfSpark(WORKER % (line, line))


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (MusterError("mend it"), "mend it", os.EX_DATAERR),
        (Later("wait"), "wait", 1),
        (
            OSError(28, "No space left on device", "/a/b"),
            "No space left on device at '/a/b': no table has ",
            1,
        ),
        (of_worker("OSError: [Errno 28] No space left on device: '/a/b'"), "No space left on device at '/a/b': ", 1),
        (OSError(28, "No space left on device", "/a/b", None, "/c/d"), "No space left on device at '/c/d': ", 1),
        (ValueError("Failed to parse: Read-only file system (os error 30)"), "Read-only file system; see to it, ", 1),
        (
            OfSpark("[TASK_WRITE_FAILED] no\nCaused by: java.io.IOException: /a/b (Read-only file system)\n\tat x"),
            "Read-only file system at '/a/b'; see to it, ",
            1,
        ),
        (OSError(13, "Permission denied", "/a/b"), "[Errno 13] Permission denied: '/a/b'; see to it, ", 1),
        (of_worker("FileNotFoundError: [Errno 2] No such file: '/a/b'"), "[Errno 2] No such file: '/a/b'; see to ", 1),
        (of_worker(f"muster.models.loading.CorruptModel: {CORRUPT}"), CORRUPT, os.EX_DATAERR),
        (of_worker("muster.mlflow.budget.errors.ServerUnavailable: it sleeps"), "it sleeps", 1),
        (CorruptManifest("/a", "is cut off"), str(CorruptManifest("/a", "is cut off")), os.EX_DATAERR),
        (OfSpark(CONFLICT), "others wrote to the same rows or made the table meanwhile, each time; run it again", 1),
        (OfSpark("<_MultiThreadedRendezvous ... StatusCode.UNAVAILABLE>"), "the Spark server went away, or was ", 1),
        (OfSpark("[INVALID_HANDLE.SESSION_NOT_FOUND] ..."), "the Spark server went away, or was restarted, ", 1),
    ],
)
def test_what_fails_is_one_line_and_the_exit_code_tells_what_must_be_mended_from_what_passes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
    code: int,
) -> None:
    def fail(_: Job) -> dict[str, Any]:
        raise error

    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(declare(tmp_path)), "--partition", "2024-02-05"])
    monkeypatch.setenv("SPARK_REMOTE", "sc://127.0.0.1:1")  # where nothing listens
    with pytest.raises(SystemExit) as exit_info:
        main("fail", fail)
    [printed] = capsys.readouterr().err.splitlines()
    assert (exit_info.value.code, printed[: len(f"error: {line}")]) == (code, f"error: {line}")


def test_a_password_in_an_address_is_neither_in_the_last_line_nor_in_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Job) -> dict[str, Any]:
        raise ValueError("Error performing PUT http://ann:hidden@127.0.0.1:1/bucket")

    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(declare(tmp_path)), "--partition", "2024-02-05"])
    with pytest.raises(SystemExit):
        main("fail", fail)
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert printed.count("PUT http://***@127.0.0.1:1/bucket") == 3  # the source line, too
    assert printed.splitlines()[-1].startswith("error: ValueError: Error performing PUT")


CANCELED = """UnknownException: (org.apache.spark.sql.connect.execution.ExecuteGrpcResponseSender)
[OPERATION_CANCELED] Operation has been canceled. SQLSTATE: HY008

JVM stacktrace:
org.apache.spark.SparkSQLException"""


def test_an_attempt_that_another_one_stopped_says_so_in_one_line_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Job) -> dict[str, Any]:
        raise OfSpark(CANCELED)

    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(declare(tmp_path)), "--partition", "2024-02-05"])
    with socket.create_server(("127.0.0.1", 0)) as listening:  # else the server has gone, and that is the cause
        monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(SystemExit) as exit_info:
            main("fail", fail)
    [printed] = capsys.readouterr().err.splitlines()
    assert (exit_info.value.code, printed[:48]) == (os.EX_DATAERR, "error: another attempt of this stage took over, ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("delay"), "KeyError: 'delay'"),
        (SystemExit(0), "SystemExit: 0"),
        (of_worker("KeyError: 'delay'"), "KeyError: 'delay'"),
        (OfSpark("[TABLE_OR_VIEW_NOT_FOUND] no\nmore"), "OfSpark: [TABLE_OR_VIEW_NOT_FOUND] no more"),
    ],
)
def test_what_nobody_has_foreseen_has_its_traceback_and_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, line: str
) -> None:
    def fail(_: Job) -> dict[str, Any]:
        raise error

    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(declare(tmp_path)), "--partition", "2024-02-05"])
    with pytest.raises(SystemExit) as exit_info:
        main("fail", fail)
    printed = capsys.readouterr().err.splitlines()
    assert (exit_info.value.code, printed[0]) == (1, "Traceback (most recent call last):")
    assert printed[-1] == f"error: {line}"


def test_a_write_that_another_came_before_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conflicts = [OfSpark(CONFLICT), CommitFailedError("a concurrent transaction"), None]
    monkeypatch.setattr("time.sleep", lambda _: None)

    def replace(*_: object) -> None:
        if error := conflicts.pop(0):
            raise error

    monkeypatch.setattr("muster_jobs.job.replace_rows", replace)
    workload = load_workload(declare(tmp_path))
    job = Job("evaluate", Context(workload, tmp_path, Store(str(tmp_path), "made")), Settings(home=tmp_path), "test")
    job.replace(pa.table({"partition": ["2024-02-05"]}), "decisions", "partition = '2024-02-05'")
    assert conflicts == []
    conflicts += [ValueError("no conflict"), None]
    with pytest.raises(ValueError, match="no conflict"):
        job.replace(pa.table({"partition": ["2024-02-05"]}), "decisions", "partition = '2024-02-05'")


def test_many_first_writers_at_once_all_leave_their_rows(tmp_path: Path) -> None:
    context = Context(load_workload(declare(tmp_path)), tmp_path, Store(str(tmp_path), "made"))
    job = Job("evaluate", context, Settings(home=tmp_path), "test")
    days = [f"2024-01-{day:02}" for day in range(1, 7)]

    def replace(day: str) -> None:
        job.replace(pa.table({"partition": [day], "group": ["a"]}), "decisions", f"partition = '{day}'")

    with ThreadPoolExecutor(len(days)) as pool:
        list(pool.map(replace, days))
    rows = DeltaTable(context.store.table("decisions")).to_pyarrow_table()
    assert sorted(rows["partition"].to_pylist()) == days
