"""The names by which the local services may be asked: a web page that points a name of its own here is refused."""

from __future__ import annotations

import socket

import psutil

from muster.settings import Settings


def known_hosts(settings: Settings) -> list[str]:
    """Return the names that a request may give as its host, without a port.

    This machine's own, all of them where the services listen on all, and those of `MUSTER_ALLOWED_HOSTS`.
    """
    own = [settings.host, "localhost", "127.0.0.1", socket.gethostname(), settings.spark_address]
    if settings.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        for addresses in psutil.net_if_addrs().values():
            own += [item.address for item in addresses if item.family == socket.AF_INET]
    return list(dict.fromkeys([*own, *settings.host_names]))
