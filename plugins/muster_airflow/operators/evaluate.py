"""Selects a run's candidates and lets the gate judge them."""

from __future__ import annotations

from typing import Any

from muster_airflow.operators.job import JobOperator


class EvaluateOperator(JobOperator):
    """Select the candidates of a partition's run and evaluate them against the champion: promote, hold or reject.

    Moves nothing: the verdicts are rows of `decisions`, which `PromoteOperator` carries out.

    :param workload: path of the workload's YAML file. (templated)
    """

    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(stage="evaluate", workload=workload, **kwargs)
