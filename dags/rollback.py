"""The DAG `rollback`: go back to an earlier champion from Airflow's own page, with a form; a dry run unless told."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.rollback_dag import rollback_dag

dag = rollback_dag(settings().workloads)
