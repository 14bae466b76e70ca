"""Where a job runs: each backend turns a job into the command and environment of one process.

A backend is a function. A new one (Databricks, say) is one more entry of `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable

from muster_airflow.backends import connect, submit
from muster_airflow.backends.command import Command, JobCall, plain

__all__ = ["BACKENDS", "Command", "JobCall", "plain"]

BACKENDS: dict[str, Callable[[JobCall], Command]] = {"connect": connect.command, "submit": submit.command}
"""Name, as in `MUSTER_BACKEND` -> how a job is started."""
