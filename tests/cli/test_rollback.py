"""`./muster rollback`: what is shown, what is asked, what a program reads, what a wrong argument gets."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

import pytest

from muster.cli import main
from muster.promotion.difference_text import view
from muster.settings import settings
from tests.promotion.conftest import Line
from tests.promotion.history import declare, slopes, three_weeks


@pytest.fixture
def line(tmp_path: Path, mlflow_settings: str, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A workload of three promoted weeks, declared in a folder that the settings name."""
    line = Line(tmp_path)
    folder = declare(line, tmp_path / "workloads").parent
    for name, value in {"STORE": tmp_path, "WORKLOADS": folder}.items():
        monkeypatch.setenv(f"MUSTER_{name}", str(value))
    settings.cache_clear()
    three_weeks(line)
    return line


def muster(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "muster", "rollback", *arguments]
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, **how}
    return subprocess.run(command, text=True, timeout=120, check=False, **how)


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process, which has its libraries loaded; return its code, its output and its errors."""
    with pytest.raises(SystemExit) as exit_info:
        main(["rollback", *arguments])
    return int(exit_info.value.code or 0), *capsys.readouterr()


@pytest.mark.slow
def test_a_look_then_the_rollback_then_its_undoing(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    look = muster(line.name, "--dry-run")
    assert look.returncode == 0, look.stderr
    assert look.stdout.startswith(f"{line.name}: version 3 -> version 2\n")
    assert "\n1 group changes, 0 appear, 1 disappears; 2 after" in look.stdout
    assert len(line.moves) == 3

    _, output, _ = here(capsys, line.name, "--yes", "--why", "late flights", "--who", "ann", "--format", "json")
    answer = json.loads(output)
    assert (answer["from_version"], answer["result"]["to_version"], answer["result"]["who"]) == ("3", "2", "ann")
    changed = {row["group"]: row["change"] for row in answer["rows"]}
    assert changed == {"B,X": "changes", "C,X": "disappears"}

    _, undo_output, _ = here(capsys, line.name, "--to", "3", "--yes", "--why", "it was the weather")
    assert f"Champion of {line.name} is version 3 now" in undo_output
    assert slopes(line) == {"A,X": 2.0, "B,X": 3.0, "C,X": 3.0}
    _, printed, _ = here(capsys, line.name, "--to", "2", "--dry-run", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert {row["group"]: row["change"] for row in rows} == changed
    assert rows[0]["run_before"].startswith(line.third)
    code, again, _ = here(capsys, line.name, "--to", "3", "--yes", "--why", "once more")
    assert (code, "nothing to do" in again) == (0, True)
    assert here(capsys, line.name, "--to", "9", "--dry-run")[0] == 2


def typed(*lines: str) -> TextIO:
    """Return a terminal on which somebody has typed these lines."""
    ours, theirs = pty.openpty()
    os.write(ours, "".join(f"{line}\n" for line in lines).encode())
    return os.fdopen(theirs)


@pytest.mark.slow
def test_on_a_terminal_it_asks_why_and_whether(line: Line) -> None:
    completed = muster(line.name, "--group", "A,X", stdin=typed("cancelled flights", "y"))
    assert completed.returncode == 0
    assert "Move the champion?" in completed.stderr
    assert slopes(line) == {"A,X": 1.0, "B,X": 3.0, "C,X": 3.0}
    assert json.loads(line.moves[-1]["evidence"])["why"] == "cancelled flights"


@pytest.mark.slow
def test_who_answers_no_moves_nothing(
    line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = slopes(line), line.moves
    monkeypatch.setattr("sys.stdin", typed("cancelled flights", "n"))
    code, _, asked = here(capsys, line.name, "--group", "A,X")
    assert (code, "Move the champion?" in asked) == (130, True)
    assert (slopes(line), line.moves) == before


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_named(
    line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_MLFLOW_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"patience": 1}')
    settings.cache_clear()
    code, _, told = here(capsys, line.name, "--dry-run")
    assert (code, "error: " in told.splitlines()[-1]) == (1, True)
    assert "127.0.0.1:9" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["flight_delays"], "there is no terminal to ask on"),
        (["flight_delays", "--yes"], "--yes goes with a reason; look with --dry-run, then add --why TEXT"),
        (["flight_delays", "--dry-run", "--format", "xml"], "no format 'xml'; there is: csv, json, table"),
        (["nowhere", "--dry-run"], "no workload 'nowhere'"),
    ],
)
@pytest.mark.parametrize("stdin", [io.StringIO(), None], ids=["a pipe", "closed"])
def test_what_cannot_be_meant_ends_with_2_before_anything_is_read(
    arguments: list[str],
    problem: str,
    stdin: io.StringIO | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("muster.promotion.rollback.plan_rollback", lambda *_: pytest.fail("computed"))
    with pytest.raises(SystemExit) as exit_info:
        main(["rollback", *arguments])
    assert exit_info.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_long_difference_is_cut_and_counted_and_cannot_steer_the_terminal() -> None:
    model = {"origin_run": "2024-02-05-0000aaaa", "algorithm": "forest"}
    row = {"group": "\x1b[2J,X", "change": "disappears", "before": model, "after": None, "taken_from": "2"}
    counts = {"changes": 0, "appears": 0, "disappears": 2000, "groups": 1, "taken_from": {"2": 2000}}
    about = {"from_version": "3", "to_version": None, "problem": None, "nothing_to_do": False, "fallback": "baseline"}
    view("flights", {**about, **counts, "shown": [row]}, out := io.StringIO())
    printed = out.getvalue()
    assert "\x1b" not in printed
    assert "flights: version 3 -> a new version" in printed
    assert "2,000 disappear; 1 after" in printed
    assert "models taken from version 2 (2,000)" in printed
    assert "the fallback 'baseline' answers" in printed
    assert "2024-02-05-0000aaaa forest" in printed
    assert "the first 1 of 2,000 groups" in printed


def test_where_a_parent_disappears_too_it_is_not_said_to_answer() -> None:
    row = {"group": "X,", "change": "disappears", "before": {}, "after": None, "taken_from": "2"}
    counts = {"changes": 0, "appears": 0, "disappears": 1, "groups": 1, "taken_from": {"2": 1}}
    about = {"from_version": "3", "to_version": "2", "problem": None, "nothing_to_do": False, "fallback": "parent"}
    view("flights", {**about, **counts, "shown": [row]}, out := io.StringIO())
    assert "no model then: a parent answers where there still is one, else the baseline" in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def seen_at_80_columns(monkeypatch: pytest.MonkeyPatch, groups: list[str], score: float) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")  # no colours between the words
    model = {"origin_run": "2024-02-05-0000aaaa", "algorithm": "gradient_boosting"}
    compared = {"before": score, "after": score + 1e-6}
    change = {"change": "changes", "before": model, "after": model, "taken_from": "2", "compared": compared}
    shown = [{"group": group, **change} for group in groups]
    counts = {"changes": len(groups), "appears": 1, "disappears": 0, "groups": 9, "taken_from": {"2": len(groups)}}
    about = {"from_version": "3", "to_version": "2", "problem": None, "nothing_to_do": False, "fallback": "baseline"}
    view("parcels", {**about, **counts, "shown": shown}, out := Terminal())
    return out.getvalue()


def test_at_80_columns_no_group_and_no_number_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    town = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch"
    groups = [f'"{place}, {town}",Kent' for place in ("St. Ives", "St. Just")] + ["JFK,LAX"]
    printed = seen_at_80_columns(monkeypatch, groups, -0.812345)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in printed
    names = "".join(line[:31].replace(" ", "") for line in lines)
    assert all(group.replace(" ", "") in names for group in groups)
    assert printed.count("-0.812345") == 3
    assert "too narrow for run before, run after: --format csv has all" in printed
    assert "3 groups change, 1 appears, 0 disappear; 9 after" in printed


def test_short_groups_leave_the_other_columns_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(line for line in seen_at_80_columns(monkeypatch, ["A,X"], 0.75).splitlines() if line.startswith("A,X"))
    assert row.split() == ["A,X", "changes", "0.75", "0.750001", "version", "2"]
