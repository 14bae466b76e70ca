"""The DAG `housekeeping`, of all workloads: once a week, and paused until somebody wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param

from muster.settings import command
from muster_airflow.dags import valid_workloads
from muster_airflow.operators.housekeeping import HousekeepingOperator
from muster_airflow.tasks import RETRY_DELAY

WEEKLY = "30 3 * * 0"
"""Sunday night, UTC."""
RUNBOOK = f"""### Remove what nobody needs any more

Old versions of tables, packs and models beyond the promotions that can be taken back, candidates that were settled,
results of earlier attempts: by each workload's `housekeeping:` in its YAML. Other stages may run meanwhile.

1. Unpause the DAG: it runs every Sunday at 03:30 UTC, for the first time on the next one. (The run of last Sunday,
   which Airflow makes at once, is skipped.) While it is paused, a run that is triggered waits.
2. *Trigger* with **Dry run** on, and read the end of each task's log: files and bytes by kind, removed and kept.

**Afterwards** a rollback beyond `housekeeping.keep` promotions says that housekeeping removed it. Nothing in MLflow is
removed. The same from a shell: `{command("housekeeping WORKLOAD --dry-run")}`.
"""
TASK = (
    "- Removes what nobody needs any more of this workload's data.\n- **When it fails**: nothing that anybody needs is "
    "gone; where the journal or a pack that stays cannot be read, nothing is removed at all. The message says why. "
    "Clearing the task is safe."
)


def housekeeping_dag(folder: Path) -> DAG:
    """Return the DAG for the workloads of a folder: a task each, one after another."""
    workloads = list(valid_workloads(folder))
    dag = DAG(
        dag_id="housekeeping",
        description="Removes old versions of tables, packs, models and results that nobody needs any more.",
        doc_md=RUNBOOK,
        schedule=WEEKLY,
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,
        is_paused_upon_creation=True,
        tags=["muster", "housekeeping"],
        default_args={"retries": 2, "retry_delay": RETRY_DELAY, "max_retry_delay": timedelta(minutes=5)},
        params=_form([workload.name for workload, _ in workloads]),
    )
    for workload, path in workloads:
        HousekeepingOperator(
            dag=dag,
            task_id=workload.name,
            workload=str(path),
            chosen="{{ params.workload or '' }}",
            dry_run="{{ params.dry_run | tojson }}",
            owner=workload.owner,
            doc_md=TASK,
        )
    return dag


def _form(workloads: list[str]) -> dict[str, Any]:
    return {
        "workload": Param(
            None, type=["null", "string"], enum=[None, *workloads], title="Workload", description="None: all."
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Say what would go; remove nothing."),
    }
