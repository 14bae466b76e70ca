"""Finds the groups of a partition that a retry is about, once no stage of the workload is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster_airflow.operators.in_turn import InTurnOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class FindDueOperator(InTurnOperator):
    """Say which groups failed, were stale or came late; skip what follows where there is none.

    It waits, deferred, until the workload's stages from features to promote are idle, so that what comes after it in
    its DAG has the partition to itself.

    :param workload: path of the workload's YAML file. (templated)
    """

    operator_extra_links = ()
    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="retry", workload=workload, spark=False, mlflow=False, **kwargs)

    def comes_first(self, context: Context) -> str | None:
        """Return the stage that is at work."""
        from muster_airflow.turn import stage_before  # not while DAGs are parsed

        return stage_before(context, self.workload)
