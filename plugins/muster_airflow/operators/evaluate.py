"""Selects a run's candidates and lets the gate judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster_airflow.operators.in_turn import InTurnOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvaluateOperator(InTurnOperator):
    """Select the candidates of a partition's run and evaluate them against the champion: promote, hold or reject.

    Moves nothing: the verdicts are rows of `decisions`, which `PromoteOperator` carries out. While another partition of
    the workload is being promoted, or a retry is at work, the task is deferred, so that this one is judged against what
    that has left.

    :param workload: path of the workload's YAML file. (templated)
    """

    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="evaluate", workload=workload, **kwargs)

    def comes_first(self, context: Context) -> str | None:
        """Return the promotion, or the retry, before this partition."""
        from muster_airflow.turn import promotion_before, retry_before  # not while DAGs are parsed

        return promotion_before(context, self.workload) or retry_before(context, self.workload)
