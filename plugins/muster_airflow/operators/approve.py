"""Asks a human before a run that would change much is promoted."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow.providers.standard.operators.hitl import ApprovalOperator

from muster_airflow.backfill import refuse_backfill
from muster_airflow.operators.job import JobOperator
from muster_airflow.turn import DAG_RUN

if TYPE_CHECKING:
    from airflow.sdk import Context

REVIEWED = "reviewed_verdicts"
APPROVED_BY = "approved_by"
APPROVED_VERDICTS = "approved_verdicts"
"""XComs: the digest of what was shown; whose approval there is and of what, both empty where none was needed."""


class ApproveOperator(JobOperator, ApprovalOperator):
    """Show what a partition's promotion would change and wait for Approve or Reject; ask nothing where none is needed.

    While it waits it holds no slot. Rejected, or not answered in time, the tasks after it are skipped and the champion
    stays. The answer goes to `PromoteOperator` with the digest of exactly the verdicts that were shown:
    `approve.output["approved_by"]`, `approve.output["approved_verdicts"]`.

    :param workload: path of the workload's YAML file. (templated)
    :param response_timeout: for how long to wait for an answer.
    """

    left_out_of_summary = frozenset({"markdown", "plots", DAG_RUN})
    template_fields = (*JobOperator.template_fields, "subject")
    ui_color = "#f6e3c5"
    asked_as = "promote"

    def __init__(self, *, workload: str, response_timeout: timedelta = timedelta(hours=24), **kwargs: Any) -> None:
        super().__init__(
            stage="review",
            workload=workload,
            spark=False,
            subject=f"Promote {Path(workload).stem}, partition {{{{ partition_key }}}}?",
            defaults=self.REJECT,
            response_timeout=response_timeout,
            **kwargs,
        )

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Review the verdicts; go on at once where no human need see them, else ask."""
        refuse_backfill(context)
        self.job_options = {**(self.job_options or {}), DAG_RUN: context["dag_run"].run_id}
        review = super().carry_out(context, **resumed)
        if not review["needs_approval"]:
            self.log.info("No approval is needed: %s", review["why"])
            self._hand_on(context, "", "")
            return review
        self.log.info("An approval is needed: %s", review["why"])
        self.body = self._question(review)
        context["ti"].xcom_push(REVIEWED, review["verdicts"])
        return ApprovalOperator.execute(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Hand an approval on; skip what follows after anything else."""
        who = (event.get("responded_by_user") or {}).get("name")
        if self.APPROVE in event.get("chosen_options", ()) and who:
            self.log.info("Approved by '%s'", who)
            self._hand_on(context, who, context["ti"].xcom_pull(task_ids=self.task_id, key=REVIEWED))
        else:
            hours = self.response_timeout.total_seconds() / 3600 if self.response_timeout else math.inf
            unanswered = f"nobody answered within {hours:g} h"
            self.log.warning("Not promoted: %s. The champion stays.", f"rejected by '{who}'" if who else unanswered)
        return super().execute_complete(context, event)

    def _question(self, review: dict[str, Any]) -> str:
        """Return the review with its plots, which MLflow has: Airflow's page leaves out images that are in the text."""
        plots = []
        for title, path in review.get("plots", {}).items():
            where = urlencode({"path": path, "run_uuid": review["mlflow_run_id"]})
            address = f"{self.mlflow_ui}/get-artifact?{where}"
            plots.append(f"[![{title}]({address})]({address})")
        return "\n\n".join([review["markdown"], *plots])

    def _hand_on(self, context: Context, who: str, verdicts: str) -> None:
        context["ti"].xcom_push(APPROVED_BY, who)
        context["ti"].xcom_push(APPROVED_VERDICTS, verdicts)
