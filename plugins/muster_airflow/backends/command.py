"""The process that runs a job on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from muster_airflow.backends.protocol import JobCall


@dataclass(frozen=True)
class Command:
    """What to start, and what to add to this process's environment for it."""

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Spark's configuration, for a file and never for the arguments: it may hold secrets."""
    spark_ui: str = ""
    """Where Spark shows the work, when that is known before it starts."""


def python(call: JobCall, result: str) -> list[str]:
    """Return the arguments that run a job in Python: the stage's own module, or somebody's own file.

    The folder of a module is not put on the path (`-P`): its neighbours are no modules of anybody else.
    """
    job = [call.job] if call.job else ["-P", "-m", f"muster_jobs.{call.stage}"]
    return [sys.executable, *job, *call.arguments, "--result", result]
