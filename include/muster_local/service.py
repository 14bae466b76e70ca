"""A local service: how to run it, where it listens, how to check its health."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

from muster.errors import MusterError
from muster_local import process
from muster_local.errors import NotHealthy, ServiceDied
from muster_local.ports import Port, require_free

HEALTH_TIMEOUT = 300.0
"""Seconds that a service may take until it is healthy: a cold disk and a busy machine included."""


@dataclass(frozen=True)
class Service:
    """One process of the stack."""

    name: str
    title: str
    command: Sequence[str]
    healthy: Callable[[], bool]
    ports: Sequence[Port] = ()
    url: str = ""
    """The page for people, where it has one."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What this service's environment holds beyond the stack's."""
    after: str = ""
    """A service of the same part that has to be healthy before this one starts."""


@dataclass(frozen=True)
class Part:
    """Services that start together, after one preparation: MLflow, Spark or Airflow."""

    name: str
    services: Sequence[Service]
    prepare: Callable[[], None] = field(default=lambda: None)


class Stopped(MusterError):
    """Raised inside a part's thread when another part has failed or the user interrupted."""


@dataclass(frozen=True)
class Starter:
    """Starts parts of one home: leaves a healthy service alone, replaces one that is not."""

    home: Path
    host: str
    env: Mapping[str, str]
    abort: threading.Event
    on_state: Callable[[str, str], None]
    """Called with a service's name and what it does now."""

    def start(self, part: Part) -> None:
        """Prepare a part, start its services and wait until all of them are healthy."""
        missing = [service for service in part.services if not runs(self.home, service)]
        if missing:
            self._clear(missing)
            for service in part.services:
                self.on_state(service.name, "preparing")
            part.prepare()
        started = {service.name: self._spawn(service) for service in missing if not service.after}
        named = {service.name: service for service in part.services}
        for service in missing:
            if service.after:
                self._wait(named[service.after], started.get(service.after))
                started[service.name] = self._spawn(service)
        for service in part.services:
            self._wait(service, started.get(service.name))
            self.on_state(service.name, "healthy")

    def _clear(self, services: Sequence[Service]) -> None:
        """Stop what an earlier crash left of these services; then their ports must be free."""
        for service in services:
            process.stop(self.home, service.name)
            for port in service.ports:
                require_free(port, host=port.host or self.host, service=service.title)

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        if self.abort.is_set():
            raise Stopped("stopped")
        self.on_state(service.name, "starting")
        return process.start(service.name, service.command, home=self.home, env={**self.env, **service.env})

    def _wait(self, service: Service, started: subprocess.Popen[bytes] | None) -> None:
        log = process.log_file(self.home, service.name)
        deadline = time.monotonic() + HEALTH_TIMEOUT
        while not service.healthy():
            if started and started.poll() is not None:
                raise ServiceDied(service.title, started.returncode, log)
            if time.monotonic() > deadline:
                raise NotHealthy(service.title, HEALTH_TIMEOUT, log)
            if self.abort.wait(0.2):
                raise Stopped("stopped")


def runs(home: Path, service: Service) -> bool:
    """Return whether the recorded process of a service is there, healthy or not yet."""
    record = process.read_record(home, service.name)
    return record is not None and record.process() is not None


def get(url: str, timeout: float = 3) -> requests.Response | None:
    """Return the response of a loopback address, past any proxy, or None unless its status is below 400."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.get(url, timeout=timeout)
        except requests.RequestException:
            return None
    return response if response.ok else None
