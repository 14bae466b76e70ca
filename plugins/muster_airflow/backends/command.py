"""A job to run, and the process that runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class JobCall:
    """One attempt at one stage: the same file and arguments on every backend."""

    file: str
    workload: str
    """Path of the workload's YAML file."""
    partition: str | None
    """None for a job that is about no partition."""
    attempt: str
    result: Path
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The job's command line."""
        return [
            *("--workload", self.workload),
            *(("--partition", self.partition) if self.partition else ()),
            *("--attempt", self.attempt, "--result", str(self.result)),
            *(part for name, value in self.options.items() for part in ("--option", f"{name}={value}")),
        ]


@dataclass(frozen=True)
class Command:
    """What to start, and what to add to this process's environment for it."""

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Spark's configuration, for a file and never for the arguments: it may hold secrets."""
    spark_ui: str = ""
    """Where Spark shows the work, when that is known before it starts."""


def plain(job: JobCall) -> Command:
    """Return the command of a job that needs no Spark."""
    return Command([sys.executable, job.file, *job.arguments])
