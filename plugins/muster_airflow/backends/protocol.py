"""What a backend is: it takes a job, runs it somewhere, and says how it is and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class JobCall:
    """One attempt at one stage: the same job, arguments and results on every backend."""

    stage: str
    workload: str
    """Path of the workload's YAML file."""
    partition: str | None
    """None for a job that is about no partition."""
    attempt: str
    job: str = ""
    """A file of one's own; empty for the stage's own job, `muster_jobs.<stage>`."""
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the job has to know and no argument may say: where MLflow is, and how to sign in."""
    run_key: str = ""
    """The same for every attempt at the same work: by it what an earlier one left is recognised."""

    @property
    def arguments(self) -> list[str]:
        """The job's command line, but for where its result goes."""
        return [
            *("--workload", self.workload),
            *(("--partition", self.partition) if self.partition else ()),
            *("--attempt", self.attempt),
            *(part for name, value in self.options.items() for part in ("--option", f"{name}={value}")),
        ]


@dataclass(frozen=True)
class Handle:
    """A submitted job: plain values. A process of this machine is known to the task that started it alone."""

    backend: str
    id: str
    links: Mapping[str, str] = field(default_factory=dict)
    """Pages about it by name, known before it ends."""


@dataclass(frozen=True)
class Status:
    """How a job is."""

    running: bool
    lines: Sequence[str] = ()
    """What it has written since it was asked last."""


@dataclass(frozen=True)
class Done:
    """The job did its work."""

    result: Mapping[str, Any]


@dataclass(frozen=True)
class Later:
    """The job is to be run again at some time: MLflow takes no more calls before."""

    until: datetime
    why: str


@dataclass(frozen=True)
class Failed:
    """The job failed."""

    message: str
    retryable: bool
    """Whether the same may go well later with nothing put right."""


Outcome = Done | Later | Failed


class Backend(Protocol):
    """A place where jobs run. The operator knows nothing else of it."""

    def submit(self, call: JobCall) -> Handle:
        """Start a job, once what an earlier attempt left is ended; return how to ask for it.

        Raises:
            ConnectionRefused: when the backend's connection does not say where to run it.
        """

    def poll(self, handle: Handle) -> Status:
        """Return how the job is, waiting a moment for something new. Once it does not run, `result` is there."""

    def cancel(self, handle: Handle) -> None:
        """End the job and its work, and wait until they have ended."""

    def result(self, handle: Handle) -> Outcome:
        """Return what became of a job that has ended."""
