"""Links from a task to what its job made.

Airflow asks for them once, in the task's own process when it ends, and stores the answer for the UI.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class EndedOperator(Protocol):
    """What an operator of Muster knows when its job has ended."""

    workload: str
    spark_ui: str
    mlflow_ui: str
    result: Mapping[str, Any]


class SparkLink(BaseOperatorLink):
    """Where Spark shows the job's work: known, and stored by the operator, before the job starts."""

    name = "Spark UI"

    def get_link(self, operator: EndedOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or nothing where the connection names none."""
        return operator.spark_ui


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run that the stage wrote to."""

    name = "MLflow run"

    def get_link(self, operator: EndedOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the run's page, or nothing without one."""
        run = operator.result.get("mlflow_run_id")
        return f"{operator.mlflow_ui}/#/runs/{run}" if run else ""


class ModelVersionLink(BaseOperatorLink):
    """The registered version of the champion pack that the stage made, judged against or scored with."""

    name = "Model version"

    def get_link(self, operator: EndedOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the version's page, or nothing without one."""
        keys = ("to_version", "model_version", "champion_version")
        version = next((operator.result[key] for key in keys if operator.result.get(key)), "")
        model = Path(operator.workload).stem
        return f"{operator.mlflow_ui}/#/models/{model}/versions/{version}" if version else ""
