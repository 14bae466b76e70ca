"""The local stack: MLflow, Spark Connect and Airflow on this machine, and the commands about it. Never in the wheel."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout: the folder of `dags/`, `jobs/` and `include/`."""
