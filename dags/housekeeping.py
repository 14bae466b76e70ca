"""The DAG `housekeeping`: remove what nobody needs any more of all workloads' data, weekly once it is unpaused."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.housekeeping_dag import housekeeping_dag

dag = housekeeping_dag(settings().workloads)
