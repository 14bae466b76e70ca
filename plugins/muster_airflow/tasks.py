"""What tasks of several DAGs share: their owner and retries, a human's approval."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from muster.workload.spec import Workload
from muster_airflow.explain import approve_doc
from muster_airflow.operators.approve import APPROVED_BY, APPROVED_VERDICTS, ApproveOperator

RETRY_DELAY = timedelta(seconds=30)


OF_ALL: dict[str, Any] = {
    "owner": "muster",
    "retries": 2,
    "retry_delay": RETRY_DELAY,
    "max_retry_delay": timedelta(minutes=5),
}
"""What tasks of DAGs have in common that are started by hand, for any workload."""


def task_defaults(workload: Workload) -> dict[str, Any]:
    """Return what all tasks of a workload have in common."""
    return {
        "owner": workload.owner,
        "retries": workload.retries,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
    }


def approval(dag: DAG, workload: Workload, path: Path, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what `promote` is told of a human's approval; nothing, and no task, where a run may change everything.

    `options` are the review's.
    """
    if workload.gate.max_changed >= 1:
        return {}
    approve = ApproveOperator(
        dag=dag,
        task_id="approve",
        workload=str(path),
        response_timeout=timedelta(hours=workload.gate.approval_hours),
        job_options=options,
        doc_md=approve_doc(workload),
    )
    return {name: approve.output[name] for name in (APPROVED_BY, APPROVED_VERDICTS)}
