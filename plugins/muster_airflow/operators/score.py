"""Scores a partition's slice: with the champion of its time, unless a backfill was asked for today's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muster.backfill.request import TODAY
from muster_airflow.backfill import followed_backfill
from muster_airflow.operators.job import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

CHAMPION = "champion"
"""The job's option: `today` for the present champion."""


class ScoreOperator(JobOperator):
    """Score a partition's slice with the champion of its time; skipped where there was none yet.

    A backfill with `champion: today` has it scored by the present one: rows that this has learnt from are marked.

    :param workload: path of the workload's YAML file. (templated)
    """

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="score", workload=workload, **kwargs)

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Score by whom the backfill asks for, if one does."""
        backfill = followed_backfill(context)
        if backfill and backfill.champion == TODAY:
            self.job_options = {**(self.job_options or {}), CHAMPION: TODAY}
        return super().carry_out(context, **resumed)
