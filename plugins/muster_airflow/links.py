"""Links from a task to what its job made. The UI shows a link once it is stored, so Spark's is stored at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from muster.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def _stored(key: TaskInstanceKey, name: str) -> Any:
    return XCom.get_value(ti_key=key, key=name)


def _result(key: TaskInstanceKey) -> dict[str, Any]:
    result = _stored(key, "return_value")
    return result if isinstance(result, dict) else {}


class SparkLink(BaseOperatorLink):
    """Where Spark shows the job's work."""

    key = "spark_ui"
    name = "Spark UI"

    @property
    def xcom_key(self) -> str:
        """Where the operator stores the link when it starts the job."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return what the operator stored."""
        return _stored(ti_key, self.key) or ""


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run that the stage wrote to."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the run's page, or nothing for a stage without one."""
        run = _result(ti_key).get("mlflow_run_id")
        return f"{settings().mlflow_tracking_uri}/#/runs/{run}" if run else ""


class ModelVersionLink(BaseOperatorLink):
    """The registered version of the champion pack that the stage made, judged against or scored with."""

    name = "Model version"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the version's page, or nothing for a stage without one."""
        result = _result(ti_key)
        version = next(
            (result[key] for key in ("to_version", "model_version", "champion_version") if result.get(key)), ""
        )
        model = ti_key.dag_id.partition(".")[0]
        return f"{settings().mlflow_tracking_uri}/#/models/{model}/versions/{version}" if version else ""
