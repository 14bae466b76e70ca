"""Promotes the winners of a partition's evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster_airflow.backfill import refuse_backfill
from muster_airflow.operators.job import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromoteOperator(JobOperator):
    """Promote the winners of a partition: register the next pack, or each winner's own model, and move the aliases.

    Refuses what a backfill caused, unless that was asked to promote or the param `allow_backfill` is set. Where a run
    would change more than `gate.max_changed` of the groups, an approval is needed: who gave it, and the digest of the
    verdicts it is for.

    :param workload: path of the workload's YAML file. (templated)
    :param approved_by: the human who approved; empty for none. (templated)
    :param approved_verdicts: the digest of exactly what was approved; empty for none. (templated)
    :param spark: whether executors register the models: with a registered model a group. A pack needs none.
    """

    template_fields = (*JobOperator.template_fields, "approved_by", "approved_verdicts")
    ui_color = "#dcefdc"

    def __init__(
        self,
        *,
        workload: str,
        approved_by: str | None = None,
        approved_verdicts: str | None = None,
        spark: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(stage="promote", workload=workload, spark=spark, **kwargs)
        self.approved_by = approved_by
        self.approved_verdicts = approved_verdicts

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Promote, unless a backfill caused the run that was not asked to."""
        refuse_backfill(context)
        approval = {"approved_by": self.approved_by, "approved_verdicts": self.approved_verdicts}
        self.job_options = {**(self.job_options or {}), **{name: value for name, value in approval.items() if value}}
        return super().carry_out(context, **resumed)
