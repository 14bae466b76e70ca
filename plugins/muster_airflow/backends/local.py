"""Jobs as processes of this machine: tied to the task, their lines passed on, their exit codes made outcomes."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from muster.settings import settings
from muster.settings.connections import PREFIX
from muster.storage.results import read_result
from muster.storage.store import Store
from muster_airflow.backends.command import Command
from muster_airflow.backends.process import RUN_KEY, JobProcess, stop_leftovers
from muster_airflow.backends.properties import configured
from muster_airflow.backends.protocol import Done, Failed, Handle, JobCall, Later, Outcome, Status
from muster_airflow.hooks.mlflow import CREDENTIALS

log = logging.getLogger(__name__)

NOT_INHERITED = (
    *("AIRFLOW_CONN_", "AIRFLOW__", PREFIX, *CREDENTIALS),
    *("SPARK_REMOTE", "SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED"),
)
"""Airflow's connections and keys, and other workloads' databases, are none of a job's business; where Spark, MLflow and
its own database are, its call alone says."""

KEPT_LINES = 200
"""The last lines of a job's output that are searched for its error."""

POLL = 1.0
"""Seconds that a poll waits for a line."""


@dataclass
class _Running:
    """A process of this task, and what it has written."""

    call: JobCall
    process: JobProcess
    store: Store
    result: str
    """Where it leaves its result, below the store's root."""
    cleanup: ExitStack
    written: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)
    """Its lines, then None: whoever waits for a line need not wait for one that will not come."""
    last: list[str] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)
    code: int = 0

    def read(self) -> None:
        """Pass on what the process writes until it ends."""
        self.code = self.process.stream(self.written.put)
        self.finished.set()
        self.written.put(None)

    def lines(self) -> Iterator[str]:
        """Yield the lines that are there; wait a moment for the first."""
        try:
            line = self.written.get(timeout=0 if self.finished.is_set() else POLL)
            while line is not None:
                yield line
                line = self.written.get_nowait()
        except queue.Empty:
            return


class LocalBackend:
    """Runs each job as a process of this machine: `command` says which."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def command(self, call: JobCall, result: str) -> Command:
        """Return what to start for a job that writes its result to a path or URI."""
        raise NotImplementedError

    def submit(self, call: JobCall) -> Handle:
        """Start the process, in this very thread: the kernel ends it with the thread."""
        if left := stop_leftovers(call.run_key):
            log.warning("Stopped what an earlier attempt left: processes %s", left)
        store = store_of(call.workload)
        result = f"{store.results(call.stage)}/{'-'.join(filter(None, [call.partition, call.attempt]))}.json"
        store.files.delete(result)  # this very attempt may have been deferred before
        command, cleanup = self.command(call, store.uri(result)), ExitStack()
        with ExitStack() as undo:
            undo.push(cleanup)
            arguments = cleanup.enter_context(configured(command, settings().home.resolve() / "submit"))
            process = JobProcess(
                arguments, {**_inherited(), **command.environment, **call.environment, RUN_KEY: call.run_key}
            )
            undo.pop_all()
        log.info("Started process %s on backend '%s': %s", process.pid, self.name, " ".join(arguments))
        running = _Running(call, process, store, result, cleanup)
        threading.Thread(target=running.read, name=f"job-{process.pid}", daemon=True).start()
        self._running[str(process.pid)] = running
        return Handle(self.name, str(process.pid), {"spark_ui": command.spark_ui})

    def poll(self, handle: Handle) -> Status:
        """Return the new lines, and whether the process runs or has more to say."""
        running = self._running[handle.id]
        finished = running.finished.is_set()  # asked first: what was written before is there then
        lines = tuple(running.lines())
        running.last = [*running.last, *lines][-KEPT_LINES:]
        if finished:
            running.cleanup.close()
        return Status(not finished, lines)

    def cancel(self, handle: Handle) -> None:
        """Ask the job to end its work and itself; make it after a grace."""
        if running := self._running.get(handle.id):
            running.process.stop()
            stop_leftovers(running.call.run_key)  # spark-submit's driver is a process of its own
            running.cleanup.close()

    def result(self, handle: Handle) -> Outcome:
        """Return what the exit code and the result file say."""
        return outcome(self._running.pop(handle.id))


def outcome(running: _Running) -> Outcome:
    """Return what became of a job: 0 done, 65 bad input, 75 later, any other code or a signal a failure to retry."""
    code, stage = running.code, running.call.stage
    if code not in (os.EX_OK, os.EX_TEMPFAIL):
        return Failed(_message(stage, code, running.last), retryable=code != os.EX_DATAERR)
    place = running.store.uri(running.result)
    try:
        result = read_result(running.store, running.result)
        return Later(datetime.fromisoformat(result["until"]), result["why"]) if code else Done(dict(result))
    except FileNotFoundError:
        where = f"wrote no result to '{place}'; look into its log above"
        return Failed(f"the {stage} job ended with code {code} but {where}", retryable=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        return Failed(f"the {stage} job wrote a result that cannot be read, '{place}': {problem}", True)


def _message(stage: str, code: int, lines: list[str]) -> str:
    """Return the job's own `error:` line, or how it ended and the last thing it wrote."""
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    if errors:
        return errors[-1]
    ending = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    written = [line.strip() for line in lines if line.strip()]
    return f"the {stage} job {ending}: {written[-1] if written else 'it wrote nothing'}"


def _inherited() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}


def store_of(workload: str) -> Store:
    """Return where the data of the workload of a YAML file are."""
    return Store(settings().store_root, Path(workload).stem)
