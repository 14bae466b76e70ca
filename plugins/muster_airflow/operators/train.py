"""Trains all groups of a partition, never beside a retry of some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster_airflow.operators.in_turn import InTurnOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainOperator(InTurnOperator):
    """Train every group of a partition; while a retry of the workload is at work, the task is deferred.

    :param workload: path of the workload's YAML file. (templated)
    """

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="train", workload=workload, **kwargs)

    def comes_first(self, context: Context) -> str | None:
        """Return the retry that is at work."""
        from muster_airflow.turn import retry_before  # not while DAGs are parsed

        return retry_before(context, self.workload)
