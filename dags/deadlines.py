"""The DAG `deadlines`: tell people when a workload's data, predictions or champion are late; none where none says."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.deadlines_dag import deadlines_dag

dag = deadlines_dag(settings().workloads)
