"""A job's arguments: a partition only for a job that is about one, and options only where they are declared."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muster.errors import MusterError
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


@pytest.mark.parametrize(("error", "code"), [(MusterError("mend it"), os.EX_DATAERR), (Later("wait"), 1)])
def test_the_exit_code_tells_what_must_be_mended_from_what_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: MusterError, code: int
) -> None:
    def fail(_: Job) -> dict[str, Any]:
        raise error

    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(declare(tmp_path)), "--partition", "2024-02-05"])
    with pytest.raises(SystemExit) as exit_info:
        main("fail", fail)
    assert (exit_info.value.code, capsys.readouterr().err) == (code, f"error: {error}\n")
