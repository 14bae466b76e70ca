"""`./muster bench`: each benchmark in a process of its own, its figures beside their goals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from muster_local import local
from muster_local.cli import bench, main

RUNS = """\"\"\"A made-up question: how fast is nothing.\"\"\"
from benchmarks.figures import Figure

def run(settings, quick=False):
    print("progress must not get into the result")
    return [Figure("made [up]", 0.5 if quick else 5.0, "s", at_most=1), Figure("compared", 12345.6, "calls")]
"""
NEEDS = """\"\"\"Another.\"\"\"
from benchmarks.figures import NeedsStack

def run(settings, quick=False):
    raise NeedsStack("the moon is not up")
"""
HOME = """\"\"\"Where an MLflow server would be.\"\"\"
import os
from benchmarks.figures import Figure

def run(settings, quick=False):
    return [Figure(os.environ["MUSTER_BENCH_HOME"], 1, "home")]
"""
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the command on a project with the real runner and the benchmarks `runs` (and any others given)."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in ("__init__.py", "__main__.py", "figures.py"):
        (folder / name).write_text((bench.FOLDER / name).read_text())
    (folder / "runs.py").write_text(RUNS)
    monkeypatch.setattr(bench, "PROJECT", tmp_path)
    monkeypatch.setattr(bench, "FOLDER", folder)
    monkeypatch.setattr("muster_local.environment.toolchain", lambda _: None)

    def run(*arguments: str, **others: str) -> tuple[int, str, str]:
        for name, code in others.items():
            (folder / f"{name}.py").write_text(code)
        with pytest.raises(SystemExit) as exit_info:
            main(["bench", *arguments])
        printed = capsys.readouterr()
        return int(exit_info.value.code or 0), printed.out, printed.err

    return run


def test_figures_come_with_their_goal_and_whether_it_is_met(run_bench: Bench) -> None:
    code, out, _ = run_bench("--json")
    [result] = json.loads(out)["benchmarks"]
    assert code == 0
    assert result["title"] == "A made-up question: how fast is nothing"
    assert result["figures"] == [
        {"name": "made [up]", "value": 5.0, "unit": "s", "goal": "<= 1", "met": False, "detail": ""},
        {"name": "compared", "value": 12345.6, "unit": "calls", "goal": "", "met": None, "detail": ""},
    ]


def test_quick_is_passed_on_and_reported(run_bench: Bench) -> None:
    _, out, _ = run_bench("runs", "--quick", "--json")
    report = json.loads(out)
    assert report["quick"] is True
    assert report["benchmarks"][0]["figures"][0]["met"] is True


def test_machine_and_versions_stand_beside_the_figures(run_bench: Bench) -> None:
    report = json.loads(run_bench("--json")[1])
    assert report["machine"]["cores"] >= 1
    assert {"python", "pyspark", "mlflow", "scikit-learn"} <= report["versions"].keys()


def test_table_names_figure_goal_and_outcome(run_bench: Bench) -> None:
    _, out, _ = run_bench()
    [line] = [line for line in out.splitlines() if "made [up]" in line]
    assert line.split() == ["made", "[up]", "5", "s", "<=", "1", "missed"]
    assert "12,346 calls" in out


def test_one_that_cannot_run_is_told_and_the_others_still_run(run_bench: Bench) -> None:
    code, out, _ = run_bench("--json", needs=NEEDS)
    needs, runs = json.loads(out)["benchmarks"]
    assert code == 1
    assert needs["error"] == "the moon is not up; start it with ./muster up, then run this benchmark again"
    assert len(runs["figures"]) == 2


def test_one_that_breaks_is_told_and_the_others_still_run(run_bench: Bench) -> None:
    code, out, _ = run_bench("--json", broken="def run(settings, quick=False): 1 / 0")
    broken, runs = json.loads(out)["benchmarks"]
    assert code == 1
    assert "exited with code 1" in broken["error"]
    assert len(runs["figures"]) == 2


def test_unknown_name_is_one_line_and_code_2(run_bench: Bench) -> None:
    assert run_bench("nothing") == (2, "", "error: no benchmark 'nothing'; there is: runs\n")


def test_file_without_run_is_no_benchmark(run_bench: Bench) -> None:
    _, out, _ = run_bench("--json", data="ROWS = 3")
    assert [result["name"] for result in json.loads(out)["benchmarks"]] == ["runs"]


def test_all_share_the_home_of_an_mlflow_server_that_is_stopped_at_the_end(
    run_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Path] = []
    monkeypatch.setattr(local, "stop", lambda settings: stopped.append(settings.home))
    _, out, _ = run_bench("one", "two", "one", "--json", one=HOME, two=HOME)
    homes = [result["figures"][0]["name"] for result in json.loads(out)["benchmarks"]]
    assert homes == [str(stopped[0])] * 2
    assert not stopped[0].exists()
