"""No DAG: fails to import, on purpose, with every problem of the workloads that airflow could not be given DAGs for."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.dags import raise_invalid_workloads

raise_invalid_workloads(settings().workloads)
