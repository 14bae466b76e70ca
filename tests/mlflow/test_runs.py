"""A workload's experiment and runs in MLflow, and what MLflow refuses: one line that says what to do."""

from __future__ import annotations

import os
from typing import Any

import pytest

from muster.mlflow.candidates import tagged_candidates
from muster.mlflow.client import connect
from muster.mlflow.runs import ExperimentDeleted, RunDeleted, open_runs, training_runs
from muster.promotion.verdicts import read_verdicts
from muster.settings import settings
from muster_jobs.command_line import main
from tests.plugins.airflow_task import PARTITION, declare
from tests.promotion.conftest import Line

pytestmark = pytest.mark.slow


def test_a_deleted_experiment_is_named_with_how_to_restore_it(registry_settings: str, tmp_path: Any) -> None:
    workload = Line(tmp_path).workload
    open_runs(workload, "2024-02-05-0000aaaa", ["logistic"])
    experiment = connect().get_experiment_by_name(workload.name).experiment_id
    connect().delete_experiment(experiment)
    again = rf"'{workload.name}' was deleted; restore it with 'mlflow experiments restore --experiment-id {experiment}'"
    for ask in (lambda: open_runs(workload, "2024-02-12-0000aaaa", ["logistic"]), lambda: tagged_candidates(workload)):
        with pytest.raises(ExperimentDeleted, match=again):
            ask()


def test_a_deleted_run_is_named_with_how_to_restore_it_and_its_experiment_first(
    registry_settings: str, tmp_path: Any
) -> None:
    line = Line(tmp_path)
    line.week(line.first, {"A,X": "promote"}, 1.0)
    [run_id] = open_runs(line.workload, read_verdicts(line.at(line.first)).run, ["logistic"]).values()
    experiment = connect().get_run(run_id).info.experiment_id
    connect().delete_run(run_id)
    restore = f"mlflow runs restore --run-id {run_id}"
    with pytest.raises(RunDeleted, match=f"'{run_id}' was deleted; restore it with '{restore}', then run this again"):
        line.promote(line.first)
    connect().delete_experiment(experiment)
    with pytest.raises(ExperimentDeleted, match=rf"mlflow experiments restore --experiment-id {experiment}'"):
        line.promote(line.first)
    with pytest.raises(RunDeleted, match="was deleted for good; train and evaluate the partition again"):
        training_runs("never trained", {"logistic": "0" * 32})


def test_what_mlflow_refuses_ends_a_job_with_one_line(
    registry_settings: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workload = declare(tmp_path)
    monkeypatch.setenv("MUSTER_STORE", os.fspath(tmp_path))
    settings.cache_clear()
    monkeypatch.setattr("sys.argv", ["job.py", "--workload", str(workload), "--partition", PARTITION])
    with pytest.raises(SystemExit, match="1"):
        main("train", lambda job: connect().get_run("0" * 32) and {})
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: MLflow refused a call: RESOURCE_DOES_NOT_EXIST: Run with id=000")
