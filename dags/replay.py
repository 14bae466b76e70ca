"""The DAG `replay`: post events again for a stage that was paused when they came, by a form; a dry run unless told."""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.replay_dag import replay_dag

dag = replay_dag(settings().workloads)
