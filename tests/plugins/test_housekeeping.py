"""The operator of the DAG `housekeeping`: one workload or all, and what the job is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muster_airflow.operators.housekeeping import HousekeepingOperator, OtherWorkload
from tests.plugins.airflow_task import context_of
from tests.plugins.test_rollback import JOB


def _run(task: HousekeepingOperator) -> dict[str, Any]:
    context = context_of(partition=None, dag_run=SimpleNamespace(run_id="manual__1", triggering_user_name="ann"))
    return task.execute(context)  # type: ignore[arg-type]


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_the_job_is_told_whether_to_look_only(tmp_path: Path, home: Path, workload: Path, dry_run: str) -> None:
    (tmp_path / "job.py").write_text(JOB)
    how: dict[str, Any] = {"job": str(tmp_path / "job.py"), "workload": str(workload), "mlflow": False}
    for chosen in ("", workload.stem):
        result = _run(HousekeepingOperator(task_id="sweep", chosen=chosen, dry_run=dry_run, **how))
        assert result["options"] == [f"dry_run={dry_run}"]
        assert "--partition" not in result["argv"]


def test_a_run_about_another_workload_is_skipped(workload: Path) -> None:
    task = HousekeepingOperator(task_id="sweep", workload=str(workload), chosen="another", mlflow=False)
    with pytest.raises(OtherWorkload, match="this run is about 'another' alone"):
        _run(task)
