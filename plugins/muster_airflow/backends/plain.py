"""A job that needs no Spark: a process of its own on every backend."""

from __future__ import annotations

from muster_airflow.backends.command import Command, python
from muster_airflow.backends.local import LocalBackend
from muster_airflow.backends.protocol import JobCall


class PlainBackend(LocalBackend):
    """Runs a job in Python alone."""

    name = "plain"

    def command(self, call: JobCall, result: str) -> Command:
        """Return the command of a job that needs no Spark."""
        return Command(python(call, result))
