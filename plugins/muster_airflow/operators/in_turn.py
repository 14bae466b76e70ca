"""Runs a job once what comes before it in its workload has ended."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from muster_airflow.operators.job import JobOperator
from muster_airflow.skips import saying_why

if TYPE_CHECKING:
    from airflow.sdk import Context


class InTurnOperator(JobOperator):
    """Run a job in its turn: while something else of the workload is at work, the task is deferred, without a slot."""

    @abstractmethod
    def comes_first(self, context: Context) -> str | None:
        """Return what is waited for, as a person reads it; None where it is this task's turn."""

    def carry_out(self, context: Context, turn_since: float | None = None, **resumed: Any) -> dict[str, Any]:
        """Wait for the turn, then run the job."""
        from muster_airflow.turn import await_turn  # not while DAGs are parsed

        await_turn(self, context, self.comes_first(context), turn_since)
        return super().carry_out(context, **resumed)

    def take_turn(self, context: Context, event: Any, since: float) -> dict[str, Any]:
        """Look again whether it is this task's turn."""
        with saying_why(self, context):
            return self.carry_out(context, turn_since=since)
