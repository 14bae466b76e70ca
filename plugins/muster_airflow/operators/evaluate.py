"""Selects a run's candidates and lets the gate judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster_airflow.operators.job import JobOperator
from muster_airflow.skips import saying_why

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvaluateOperator(JobOperator):
    """Select the candidates of a partition's run and evaluate them against the champion: promote, hold or reject.

    Moves nothing: the verdicts are rows of `decisions`, which `PromoteOperator` carries out. While another partition of
    the workload is being promoted the task is deferred, so that this one is judged against what that has left.

    :param workload: path of the workload's YAML file. (templated)
    """

    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="evaluate", workload=workload, **kwargs)

    def carry_out(self, context: Context, turn_since: float | None = None, **resumed: Any) -> dict[str, Any]:
        """Wait for the promotion before this partition, then judge."""
        from muster_airflow.turn import await_turn  # not while DAGs are parsed

        await_turn(self, context, self.workload, turn_since)
        return super().carry_out(context, **resumed)

    def take_turn(self, context: Context, event: Any, since: float) -> dict[str, Any]:
        """Look again whether it is this partition's turn."""
        with saying_why(self, context):
            return self.carry_out(context, turn_since=since)
