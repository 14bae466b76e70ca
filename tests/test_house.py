"""The house's own rules that no linter knows: names, sizes, and one list of checks for everyone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from muster_local import PROJECT
from muster_local.cli.test import CHECKS

CODE = [file for folder in ("include", "plugins", "jobs", "dags") for file in (PROJECT / folder).rglob("*.py")]
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "core"}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the lines of each function of a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            yield f"{file.name}:{node.name}", node.end_lineno - node.lineno + 1


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    return [{**hook, "repo": repo["repo"]} for repo in config["repos"] for hook in repo["hooks"]]


def test_files_have_names_that_say_what_they_are() -> None:
    assert [file.name for file in CODE if file.stem in NAMELESS] == []


def test_files_can_be_read_in_one_sitting() -> None:
    assert [file.name for file in CODE if len(file.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE] == []


def test_functions_fit_on_a_screen() -> None:
    assert [name for file in CODE for name, lines in functions(file) if lines > LONGEST_FUNCTION] == []


def test_pre_commit_runs_what_the_test_command_runs() -> None:
    entries = [hook["entry"].removeprefix(".venv/bin/").split() for hook in hooks()]
    for check in CHECKS:
        program = [part for part in check if part != "."]
        assert any(entry[: len(program)] == program for entry in entries), check


def test_pre_commit_needs_no_other_repository() -> None:
    assert {hook["repo"] for hook in hooks()} == {"local"}


def test_tables_are_read_by_no_file_system_of_python() -> None:
    reading = [file.name for file in CODE if "to_pyarrow_" in file.read_text(encoding="utf-8")]
    assert reading == ["delta.py"]  # a process that ends soon after such a read aborts, one time in fifteen


def test_every_file_is_named_in_the_architecture_under_its_folder() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    every_file = page.partition("\n## Every file\n")[2].partition("\n## ")[0]
    entries = re.findall(r"^- \*\*`(\S+)/`\*\*(.+?)(?=^- \*\*|\Z)", every_file, re.DOTALL | re.MULTILINE)
    named = {f"{folder}/{name}" for folder, entry in entries for name in re.findall(r"`(\w+\.py)`", entry)}
    packages = ("include/muster", "include/muster_local", "jobs/muster_jobs", "plugins/muster_airflow")
    files = {file.relative_to(PROJECT).as_posix() for package in packages for file in (PROJECT / package).rglob("*.py")}
    assert sorted(file for file in files - named if not file.endswith("__.py")) == []
    assert sorted(named - files) == []  # moved or removed
