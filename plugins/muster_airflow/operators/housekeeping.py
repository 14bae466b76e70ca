"""Sweeps a workload's data: what nobody needs any more is removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from muster_airflow.operators.job import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


LATE = timedelta(hours=12)
"""Later, a scheduled sweep is left out: Airflow makes up for the last one when a DAG is unpaused."""


class OtherWorkload(AirflowSkipException):
    """Raised when a run is about another workload."""

    def __init__(self, chosen: str) -> None:
        super().__init__(f"this run is about '{chosen}' alone")


class LongDue(AirflowSkipException):
    """Raised when a run was due long before it could begin."""

    def __init__(self, due: datetime) -> None:
        super().__init__(
            f"it was due on {due:%Y-%m-%d %H:%M} UTC, when the DAG was paused or nothing ran: the next one sweeps"
        )


class HousekeepingOperator(JobOperator):
    """Remove what nobody needs any more of a workload's data; return what was removed and kept, by kind.

    :param workload: path of the workload's YAML file. (templated)
    :param chosen: the one workload that the run is about; empty for all. (templated)
    :param dry_run: `true` removes nothing. (templated)
    """

    template_fields = (*JobOperator.template_fields, "chosen", "dry_run")
    operator_extra_links = ()
    partitioned = False
    ui_color = "#e6efe2"

    def __init__(self, *, workload: str, chosen: str = "", dry_run: str = "false", **kwargs: Any) -> None:
        super().__init__(stage="housekeeping", workload=workload, spark=False, **kwargs)
        self.chosen = chosen
        self.dry_run = dry_run

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Run the job, unless the run is about another workload, or was due long ago and not cleared since."""
        run = context["dag_run"]
        if run.run_type == "scheduled" and not run.clear_number and datetime.now(UTC) - run.run_after > LATE:
            raise LongDue(run.run_after)
        if self.chosen not in ("", Path(self.workload).stem):
            raise OtherWorkload(self.chosen)
        self.job_options = {"dry_run": self.dry_run}
        return super().carry_out(context, **resumed)
