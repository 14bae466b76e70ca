"""What can go wrong between this machine and the local services."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from muster.errors import MusterError
from muster.settings import command


class StackError(MusterError):
    """Raised when the local services cannot be brought up or down."""


class PortInUse(StackError):
    """Raised when a service's port is taken by something else."""

    def __init__(self, port: int, service: str, setting: str, holder: str) -> None:
        super().__init__(f"port {port} of {service} is in use{holder}; stop that, or set {setting} to a free port")


class ServiceDied(StackError):
    """Raised when a service or a preparing command ends before its work is done."""

    def __init__(self, service: str, code: int | None, log: Path) -> None:
        self.log = log
        ending = "stopped" if code is None else f"exited with code {code}"
        again = ""
        if code is not None and code < 0:
            ending, again = f"was killed by signal {-code}", f"; run `{command('up')}` again"
        super().__init__(f"{service} {ending}: {last_line(log)} (log: {log}){again}")


class NotHealthy(StackError):
    """Raised when a service runs but does not answer in time."""

    def __init__(self, service: str, seconds: float, log: Path) -> None:
        super().__init__(f"{service} was not healthy after {seconds:.0f} s: {last_line(log)} (log: {log})")


class JavaMissing(StackError):
    """Raised when there is no Java that Spark can use and none can be installed."""

    def __init__(self, needed: int, tried: str) -> None:
        super().__init__(f"no Java {needed} or newer in JAVA_HOME or on PATH, and {tried}: install one, set JAVA_HOME")


class JarMismatch(StackError):
    """Raised when a downloaded jar is not the one that was pinned."""

    def __init__(self, jar: Path, actual: str, pinned: str) -> None:
        super().__init__(f"{jar} has sha256 {actual[:12]}..., not the pinned {pinned[:12]}...; it was not used")


class OtherStore(StackError):
    """Raised when services run that were started with another store."""

    def __init__(self, theirs: str, ours: str) -> None:
        super().__init__(
            f"the services run with the store '{theirs}', and MUSTER_STORE is '{ours}' now; `{command('down')}` first"
        )


class AlreadyStarting(StackError):
    """Raised when another command is starting or stopping the same home's services."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"another ./muster up is at work on {home}; wait for it, or ./muster down")


class StillRunning(StackError):
    """Raised when processes outlive even SIGKILL."""

    def __init__(self, pids: Iterable[int]) -> None:
        super().__init__(f"could not stop the processes {', '.join(map(str, sorted(pids)))}")


def last_line(log: Path) -> str:
    """Return the last line of a log that says something, shortened to fit a message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines()[-200:] if line.strip()]
    return lines[-1][:300] if lines else "it wrote nothing"
