"""The operator of the DAG `housekeeping`: one workload or all, and what the job is told."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from muster_airflow.operators.housekeeping import HousekeepingOperator, LongDue, OtherWorkload
from tests.plugins.airflow_task import context_of, run_of
from tests.plugins.test_rollback import JOB


def _run(
    task: HousekeepingOperator, kind: str = "manual", due: datetime | None = None, cleared: int = 0
) -> dict[str, Any]:
    run = run_of(run_id="manual__1", user="ann", run_type=kind, run_after=due, clear_number=cleared)
    context = context_of(partition=None, dag_run=run)
    return task.execute(context)  # type: ignore[arg-type]


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_the_job_is_told_whether_to_look_only(tmp_path: Path, home: Path, workload: Path, dry_run: str) -> None:
    (tmp_path / "job.py").write_text(JOB)
    how: dict[str, Any] = {"job": str(tmp_path / "job.py"), "workload": str(workload), "mlflow": False}
    for chosen in ("", workload.stem):
        result = _run(HousekeepingOperator(task_id="sweep", chosen=chosen, dry_run=dry_run, **how))
        assert result["options"] == [f"dry_run={dry_run}"]
        assert "--partition" not in result["argv"]


@pytest.mark.parametrize(
    ("hours", "kind", "skipped"), [(1, "scheduled", False), (13, "scheduled", True), (99, "manual", False)]
)
def test_a_run_that_was_due_while_the_dag_was_paused_is_skipped(
    tmp_path: Path, home: Path, workload: Path, hours: int, kind: str, skipped: bool
) -> None:
    (tmp_path / "job.py").write_text(JOB)
    task = HousekeepingOperator(task_id="sweep", job=str(tmp_path / "job.py"), workload=str(workload), mlflow=False)
    due = datetime.now(UTC) - timedelta(hours=hours)
    assert _run(task, kind, due, cleared=1)["options"] == ["dry_run=false"]
    with pytest.raises(LongDue, match="the next one sweeps") if skipped else nullcontext():
        assert _run(task, kind, due)["options"] == ["dry_run=false"]


def test_a_run_about_another_workload_is_skipped(workload: Path) -> None:
    task = HousekeepingOperator(task_id="sweep", workload=str(workload), chosen="another", mlflow=False)
    with pytest.raises(OtherWorkload, match="this run is about 'another' alone"):
        _run(task)
