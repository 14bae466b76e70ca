"""Processes of a home: started in sessions of their own, recorded, found again after a crash, stopped.

Whatever is started here carries `MUSTER_HOME` and `MUSTER_SERVICE` in its environment, and so does all that it starts
in turn: Spark's Python workers, Airflow's tasks and their jobs. That mark, not the record, says whose a process is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from muster.processes import runs, wait_until_ended
from muster_local.errors import ServiceDied, StillRunning

GRACE_SECONDS = 8.0
"""Seconds between SIGTERM and SIGKILL."""

SAME_START = 5.0
"""Seconds by which two readings of one process's start may differ when the clock is set."""


@dataclass(frozen=True)
class Record:
    """A started process: its start time distinguishes it from a later one with the same pid."""

    service: str
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """Return the process if it is still there."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < SAME_START
            return process if same and runs(process) else None
        except psutil.NoSuchProcess:
            return None


def start(service: str, command: Sequence[str], *, home: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a service in a session of its own, its output in its log, and record it."""
    log_file(home, service).parent.mkdir(parents=True, exist_ok=True)
    with log_file(home, service).open("wb") as log:
        started = subprocess.Popen(  # noqa: S603 - the stack's own commands
            list(command),
            env={**env, "MUSTER_HOME": str(home), "MUSTER_SERVICE": service},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    write_record(home, Record(service, started.pid, psutil.Process(started.pid).create_time()))
    return started


def run(name: str, command: Sequence[str], *, home: Path, env: Mapping[str, str]) -> None:
    """Run a preparing command to its end, once what a crash left of it is gone; raise its last line if it fails."""
    stop(home, name)
    code = start(name, command, home=home, env=env).wait()
    record_file(home, name).unlink(missing_ok=True)
    if code:
        raise ServiceDied(name, code, log_file(home, name))


def log_file(home: Path, service: str) -> Path:
    """Return the file that takes a service's output."""
    return home / "logs" / f"{service}.log"


def record_file(home: Path, service: str) -> Path:
    """Return the file that holds a service's record."""
    return home / "run" / f"{service}.json"


def write_record(home: Path, record: Record) -> None:
    """Write a record, whole or not at all."""
    file = record_file(home, record.service)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".tmp")
    partial.write_text(json.dumps(asdict(record)))
    partial.replace(file)


def read_record(home: Path, service: str) -> Record | None:
    """Return a service's record, or None where there is none that can be read."""
    try:
        return Record(**json.loads(record_file(home, service).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def processes_of_home(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield every process that was started for this home, and for which of its services."""
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except (psutil.Error, OSError):
            continue
        if env.get("MUSTER_HOME") == str(home) and "MUSTER_SERVICE" in env:
            yield env["MUSTER_SERVICE"], process


def recorded_processes(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield every recorded process that still runs, and its service."""
    for file in (home / "run").glob("*.json"):
        record = read_record(home, file.stem)
        if record and (process := record.process()):
            yield file.stem, process


def stop(home: Path, service: str | None = None, *, spare: Collection[str] = (), grace: float = GRACE_SECONDS) -> int:
    """Stop all processes of a home (of one service, of all but those to `spare`) and return how many there were.

    This process and those above it are spared, even when they carry the mark.
    """
    first = _processes_to_stop(home, service, spare)
    for process in first:
        _signal(process, kill=False)
    wait_until_ended(first, grace)
    for _ in range(5):
        left = _processes_to_stop(home, service, spare)
        if not left:
            return len(first)
        for process in left:
            _signal(process, kill=True)
        wait_until_ended(left, grace)
    raise StillRunning(process.pid for process in left)


def _processes_to_stop(home: Path, service: str | None, spare: Collection[str]) -> set[psutil.Process]:
    """Return the processes to stop: marked, recorded, and all their descendants."""
    marked_or_recorded = (*processes_of_home(home), *recorded_processes(home))
    family = {process for name, process in marked_or_recorded if service in (None, name) and name not in spare}
    family.update(*(_descendants(process) for process in family))
    me = psutil.Process()
    return {process for process in family - {me, *me.parents()} if runs(process)}


def _descendants(process: psutil.Process) -> Iterable[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return ()


def _signal(process: psutil.Process, *, kill: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill() if kill else process.terminate()
