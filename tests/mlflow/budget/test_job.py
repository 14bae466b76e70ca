"""A job that MLflow keeps waiting too long: it says when to run it again, and is not taken for a failed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from muster_local import PROJECT
from tests.mlflow.budget.conftest import Answer, Server

JOB = """
from muster_jobs.command_line import main
from muster.mlflow.runs import add_metrics

main("evaluate", lambda job: add_metrics("x", {"a": 1.0}))
"""
DECLARED = {
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal"]},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "gate": {"baseline": "signal"},
    "schedule": {"start": "2024-01-01"},
}


def test_a_job_whose_budget_is_spent_ends_with_code_75_and_says_until_when(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(429, {"Retry-After": "600"})]
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(DECLARED))
    (tmp_path / "made.py").write_text("def features(rows): ...\n")
    (tmp_path / "job.py").write_text(JOB)
    result = tmp_path / "results" / "one.json"
    command = [sys.executable, str(tmp_path / "job.py"), "--workload", str(tmp_path / "made.yaml")]
    completed = subprocess.run(
        [*command, "--partition", "2024-02-05", "--result", str(result)],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == os.EX_TEMPFAIL, completed.stderr
    answer = json.loads(result.read_text())
    assert set(answer) == {"until", "why"}
    assert 500 < (datetime.fromisoformat(answer["until"]) - datetime.now(UTC)).total_seconds() <= 600
    assert "calls of class 'log_batch'" in answer["why"]
    assert completed.stderr.strip().splitlines()[-1].startswith("later: no MLflow call before")
