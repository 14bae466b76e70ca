"""What Muster adds to Airflow, found by its entry point."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.timetable import SliceTimetable


class MusterPlugin(AirflowPlugin):
    """Makes known what Airflow loads by name: the links of Muster's tasks, and the timetable of `ingest`."""

    name = "muster"
    operator_extra_links = [SparkLink(), MlflowRunLink(), ModelVersionLink()]  # noqa: RUF012 - as Airflow declares it
    timetables = [SliceTimetable]  # noqa: RUF012
