"""Logs of this machine's services that are old: of services that do not run, since a running one writes to its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from time import time

from muster_local import process


def old_logs(home: Path, age: timedelta) -> list[Path]:
    """Return the logs of a home that nobody has written to for so long, and no service is writing to."""
    running = {service for service, _ in (*process.processes_of_home(home), *process.recorded_processes(home))}
    logs = (file for file in (home / "logs").glob("*.log") if file.stem not in running)
    return sorted(file for file in logs if time() - file.stat().st_mtime > age.total_seconds())


def remove_old_logs(home: Path, age: timedelta, dry_run: bool) -> tuple[int, int]:
    """Remove them, unless this only looks; return how many there were, and their bytes."""
    logs = old_logs(home, age)
    size = sum(file.stat().st_size for file in logs)
    for file in () if dry_run else logs:
        file.unlink(missing_ok=True)
    return len(logs), size
