"""What Muster adds to Airflow, found by its entry point."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink


class MusterPlugin(AirflowPlugin):
    """Makes the links of Muster's tasks known to the API server, which shows them."""

    name = "muster"
    operator_extra_links = [SparkLink(), MlflowRunLink(), ModelVersionLink()]  # noqa: RUF012 - as Airflow declares it
