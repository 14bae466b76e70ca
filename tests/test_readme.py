"""The README: every command in it is run, every link leads somewhere; other pages' commands are understood."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from muster.cli import app
from muster.settings import Settings
from muster.workload.load import find_workload
from muster.workload.windows import partition_windows
from muster_local import PROJECT
from muster_local.cli import COMMANDS, PASSING_ON
from tests.benchmarks.test_quick import ON_A_STACK
from tests.conftest import RunningStack

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")), PROJECT / "benchmarks" / "README.md"]
ALONE = {"down", "status", "try"}
"""Commands that need no running stack: they are run on an empty home."""
ELSEWHERE = {"test", "down", "bench", "try"}
"""Not run on the stack: one is running this, one would stop what others test, the others have a test of their own."""


def commands(text: str) -> list[list[str]]:
    """Return the arguments of each `./muster ...` in code blocks, and of those with an option between backticks."""
    blocks = [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    spans = re.findall(r"`(\./muster [^`]+ -[^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line for line in (*blocks, *spans) if line.startswith("./muster ") and not re.search(r"<|\.\.\.|\[", line)]
    return [shlex.split(line)[1:] for line in dict.fromkeys(lines)]


def run(arguments: list[str], settings: Settings, timeout: float = 300) -> str:
    command = [sys.executable, "-m", "muster_local", *arguments]
    completed = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | settings.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def as_text(arguments: list[str]) -> str:
    return " ".join(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [command for command in commands(README) if command[0] in ALONE], ids=as_text)
def test_command_that_needs_no_stack_runs_on_an_empty_home(arguments: list[str], tmp_path: Path) -> None:
    assert run(arguments, Settings(_env_file=None, home=tmp_path)) != ""


@pytest.mark.e2e
@pytest.mark.slow
def test_commands_run_from_top_to_bottom_on_a_stack(running_stack: RunningStack, fx_spread_up: str) -> None:
    for arguments in commands(README):
        if arguments[0] not in ELSEWHERE and arguments != ["up"]:  # by which the stack came about
            assert run(arguments, running_stack.settings, timeout=1800) != ""


@pytest.mark.e2e
@pytest.mark.slow
def test_benchmarks_run_on_a_stack(running_stack: RunningStack) -> None:
    """Those that measure it; the others run in `tests/benchmarks/test_quick.py`."""
    [arguments] = [arguments for arguments in commands(README) if arguments[0] == "bench"]
    run([*arguments, *sorted(ON_A_STACK), "--quick"], running_stack.settings, timeout=900)


@pytest.mark.e2e
@pytest.mark.slow
def test_python_of_the_readme_scores_with_the_champion(running_stack: RunningStack) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # MLflow's client writes the servers that other tests chose into this process's environment.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env["MLFLOW_TRACKING_URI"] = running_stack.settings.mlflow_tracking_uri
    completed = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "score" in completed.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for name, *arguments in commands(page.read_text(encoding="utf-8")):
        assert name in COMMANDS
        command = typer.main.get_group(app({name: COMMANDS[name]}, PASSING_ON)).commands[name]
        command.make_context(name, arguments)


def test_pages_speak_of_partitions_that_there_are() -> None:
    flights = find_workload("flight_delays", PROJECT / "include" / "workloads")
    all_commands = [arguments for page in PAGES for arguments in commands(page.read_text(encoding="utf-8"))]
    days = {arguments[arguments.index("--partition") + 1] for arguments in all_commands if "--partition" in arguments}
    assert {partition_windows(flights, day).key for day in days} == days
    assert flights.schedule.demo[1].isoformat() in days


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_readme_shows_the_line() -> None:
    assert "docs/images/line.svg" in README
