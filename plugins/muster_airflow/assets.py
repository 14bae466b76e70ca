"""A workload's assets: what its stages update, what has arrived, and what a correction has changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset

from muster.workload.spec import Workload
from muster.workload.stages import ARRIVED

__all__ = ["AGAIN", "ARRIVED", "CORRECTED", "SOURCE", "asset"]

CORRECTED, SOURCE = "corrected", "source"
"""Partitions whose features a correction has changed; a source with anything new in it."""

AGAIN = timedelta(minutes=10)
"""After which what is still new in a source wakes the DAG `watch` once more."""


def asset(workload: Workload, table: str, **more: Any) -> Asset:
    """Return the asset of a table (or the champion, or arrivals): its events carry the partition as their key."""
    return Asset(name=f"{workload.name}.{table}", uri=f"muster://{workload.name}/{table}", group="muster", **more)
