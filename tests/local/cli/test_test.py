"""`./muster test` runs every check, hands pytest its arguments, and fails where one of them does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from muster.die_with_parent import tied
from muster_local.cli import main
from muster_local.cli.test import PARALLEL, PREPARATION, SLOWEST

Commands = list[list[str]]


@pytest.fixture
def record_commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Commands]:
    """Stand in for the programs: record the commands; the one named fails with code 5."""

    def stand_in(failing: str) -> Commands:
        commands: Commands = []

        def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
            tie = len(tied([]))
            commands.append([Path(command[tie]).name, *command[tie + 1 :]])
            return subprocess.CompletedProcess(command, 5 if commands[-1][0] == failing else 0, "what is wrong", "")

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr("muster_local.environment.toolchain", lambda _: {})
        return commands

    return stand_in


def of_pytest(commands: Commands) -> list[str]:
    [command] = [command for command in commands if command[0] == "pytest"]
    return command


def test_arguments_go_to_pytest_which_runs_in_parallel(record_commands: Callable[[str], Commands]) -> None:
    commands = record_commands("")
    with pytest.raises(SystemExit) as exit_info:
        main(["test", "tests/evaluation", "-m", "not slow", "--maxfail=1"])
    assert exit_info.value.code == 0
    assert sorted(command[0] for command in commands) == ["lint-imports", "mypy", "pytest", "python", "ruff"]
    assert commands.index(list(PREPARATION)) < commands.index(of_pytest(commands))
    assert of_pytest(commands) == [
        "pytest",
        "-n",
        "4",
        *PARALLEL,
        *SLOWEST,
        "tests/evaluation",
        "-m",
        "not slow",
        "--maxfail=1",
    ]


def test_the_first_failure_is_asked_for_of_one_process(record_commands: Callable[[str], Commands]) -> None:
    commands = record_commands("")
    with pytest.raises(SystemExit):
        main(["test", "-x"])
    assert of_pytest(commands) == ["pytest", *SLOWEST, "-x"]


def test_quick_leaves_out_what_starts_services(record_commands: Callable[[str], Commands]) -> None:
    commands = record_commands("")
    with pytest.raises(SystemExit):
        main(["test", "--quick", "tests/workload"])
    assert list(PREPARATION) not in commands
    assert of_pytest(commands) == [
        "pytest",
        "-n",
        "2",
        *PARALLEL,
        *SLOWEST,
        "-m",
        "not e2e and not slow and not spark",
        "tests/workload",
    ]


@pytest.mark.parametrize("failing", ["ruff", "mypy", "lint-imports", "pytest"])
def test_the_code_of_what_failed_is_the_code_of_the_command(
    record_commands: Callable[[str], Commands], failing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = record_commands(failing)
    with pytest.raises(SystemExit) as exit_info:
        main(["test"])
    assert exit_info.value.code == 5
    assert of_pytest(commands)  # a check that fails keeps no test from running
    told = capsys.readouterr()
    assert told.out.count("passed") == 3 - (failing != "pytest")
    assert told.err.count("what is wrong") == (failing != "pytest")
