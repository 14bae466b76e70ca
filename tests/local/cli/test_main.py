"""The command line as a whole: quick, and short about mistakes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from muster.errors import MusterError
from muster_local.cli import COMMANDS, main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["nonsense"], ["status", "--nonsense"], ["up", "--weeks", "many"]])
def test_a_wrong_argument_is_one_line_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


def test_an_unknown_workload_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("up", "--workload", "nonsense") == 2
    assert capsys.readouterr().err.startswith("error: no workload 'nonsense'; there is: ")


@pytest.mark.parametrize("error", [MusterError("mend it"), OSError(28, "No space left on device", "/a/b")])
def test_an_error_of_ours_or_of_the_system_has_no_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("muster_local.local.stop", fails)
    assert run("down") == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'airflow', 'pyspark', 'mlflow', 'sklearn', 'pandas'}"
    script = (
        "import sys; from muster import cli; from muster_local.cli import COMMANDS; cli.app(COMMANDS); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"
