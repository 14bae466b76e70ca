"""Ports: whether one is free, and who holds it."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil

from muster_local.errors import PortInUse


@dataclass(frozen=True)
class Port:
    """A port that a service listens on and the environment variable that changes it."""

    number: int
    setting: str
    host: str = ""
    """Where it is not the stack's."""


def require_free(port: Port, *, host: str, service: str) -> None:
    """Raise `PortInUse` if nothing could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port.number))
        except OSError:
            raise PortInUse(port.number, service, port.setting, _holder(port.number)) from None


def accepts_connections(host: str, port: int) -> bool:
    """Return whether something accepts_connections connections on the port."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return ports that are free now, all different: for tests and second homes.

    They lie below those that the system gives to outgoing connections: one of these can be taken at any time, and a
    service that needs 20 seconds to listen would find it gone.
    """
    ports: list[int] = []
    for number in random.sample(range(10_000, 32_768), 1_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, number))
            ports.append(number)
        if len(ports) == count:
            break
    return ports


def _holder(port: int) -> str:
    """Name the process that listens on the port, where the system allows."""
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return ""
