"""Why a task was skipped: in its log, and as an XCom; Airflow itself keeps only that it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from muster.backfill.request import SKIPPED
from muster_airflow.backfill import BackfillStopped

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


@contextmanager
def saying_why(task: BaseOperator, context: Context) -> Iterator[None]:
    """Say why what is done within skips the task, if it does."""
    try:
        yield
    except AirflowSkipException as skipped:
        task.log.warning("%s", skipped)  # Airflow's own line says only that the task was skipped
        context["ti"].xcom_push(SKIPPED, {"why": str(skipped), "stopped": isinstance(skipped, BackfillStopped)})
        raise
