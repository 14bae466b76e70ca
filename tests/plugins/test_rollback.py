"""The operators of the DAG `rollback`, with the real job on a real MLflow server: look, skip, move, try again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from muster.champions.journal import Journal
from muster.settings import settings
from muster_airflow.operators.rollback import CompareOperator, DryRun, RollbackOperator
from tests.plugins.airflow_task import context_of, run_of
from tests.promotion.conftest import Line
from tests.promotion.history import declare, slopes, three_weeks

JOB = """
import json, pathlib, sys
options = [text for name, text in zip(sys.argv[1:], sys.argv[2:]) if name == "--option"]
fields = {"options": options, "argv": sys.argv, "from_version": "3", "to_version": "2"}
fields |= {"problem": "", "nothing_to_do": 1}
result = pathlib.Path(sys.argv[sys.argv.index("--result") + 1])
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text(json.dumps(fields))
"""


@pytest.fixture
def line_and_file(mlflow_settings: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Line, str]:
    """Three promoted weeks, and the workload's YAML file."""
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_settings}))
    line = Line(Path(settings().store_root))
    three_weeks(line)
    return line, str(declare(line, home.parent / "workloads"))


def _run(task: CompareOperator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a task's result and what it pushed besides."""
    context = context_of(partition=None, dag_run=run_of(user="ann"))
    return task.execute(context), context["ti"].pushed  # type: ignore[arg-type]


def _roll_back(file: str, **how: str) -> RollbackOperator:
    fields = {"against": "3", "who": "ann", "why": "bad 'scores' = bad", "version": "", "groups": "[]", **how}
    return RollbackOperator(task_id="roll_back", workload=file, **fields)


def test_the_job_is_told_what_was_asked_and_no_partition(tmp_path: Path, home: Path, workload: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    how: dict[str, Any] = {"job": str(tmp_path / "job.py"), "workload": str(workload), "mlflow": False}
    look, _ = _run(CompareOperator(task_id="compare", version="2", groups='["A,X"]', **how))
    assert look["options"] == ["to=2", 'groups=["A,X"]', "dry_run=true"]
    assert "--partition" not in look["argv"]
    moved, _ = _run(RollbackOperator(task_id="roll_back", against="3", who="ann", why="bad = bad", **how))
    assert moved["options"] == ["groups=[]", "against=3", "who=ann", "why=bad = bad"]


@pytest.mark.slow
def test_a_look_shows_each_group_and_moves_nothing(line_and_file: tuple[Line, str]) -> None:
    line, file = line_and_file
    result, pushed = _run(CompareOperator(task_id="compare", workload=file, version="", groups='["B,X"]'))
    assert (result["from_version"], result["changes"], result["moved"]) == ("3", 1, False)
    assert "version 3 -> a new version" in pushed["difference"]
    assert re.search(r"B,X +changes .* 2024-02-19-\w+ logistic +2024-02-05-\w+ logistic", pushed["difference"])
    assert len(Journal(line.store).rows) == 3


@pytest.mark.slow
def test_a_dry_run_is_skipped_with_a_word(line_and_file: tuple[Line, str]) -> None:
    with pytest.raises(DryRun, match="dry run: nothing was moved"):
        _run(_roll_back(line_and_file[1], dry_run="true"))
    assert issubclass(DryRun, AirflowSkipException)


@pytest.mark.slow
def test_a_try_again_ends_in_the_same_state_and_another_champion_is_refused(line_and_file: tuple[Line, str]) -> None:
    line, file = line_and_file
    results = [_run(_roll_back(file))[0] for _ in range(2)]
    assert [(result["moved"], result["to_version"]) for result in results] == [(True, "2")] * 2
    row = Journal(line.store).rows[-1]
    assert (len(Journal(line.store).rows), row["who"], json.loads(row["evidence"])["why"]) == (
        4,
        "ann",
        "bad 'scores' = bad",
    )
    assert slopes(line) == {"A,X": 2.0, "B,X": 1.0}
    with pytest.raises(
        AirflowException, match="was planned from version 3, Champion is now version 2; nothing was moved"
    ):
        _run(_roll_back(file, version="1"))
    with pytest.raises(AirflowException, match="'who' is empty"):
        _run(_roll_back(file, version="1", against="2", who=""))
