"""The DAG `backfill`: past partitions brought through the stages again, with a form; a dry run unless told."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.backfill_dag import backfill_dag

dag = backfill_dag(settings().workloads)
