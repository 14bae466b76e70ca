"""A job's Spark session, and its end: what a job starts on a server never outlives it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from muster.die_with_parent import die_with_parent
from muster.errors import MusterError

MAX_SESSIONS = 1000
"""How many closed sessions of one name are tried before something else must be wrong."""

DEFAULT_PORT = 15002
"""Of Spark Connect, when the address names none."""

CONNECT_TIMEOUT = 15.0
"""Seconds in which a server must accept a connection."""

MICROSECONDS = "spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS"
"""Spark's default, INT96, is read as nanoseconds elsewhere: 9999-12-31 becomes 1816-03-29."""

SHUTDOWN_SECONDS = 3.0
"""Seconds that a job may take to interrupt its work after SIGTERM."""


class NoServer(MusterError):
    """Raised when nothing listens where the Spark Connect server should be: the client itself would try for minutes."""

    retryable = True

    def __init__(self, host: str, port: int, problem: OSError) -> None:
        super().__init__(f"no Spark Connect server at '{host}:{port}' ({problem}); start it, or correct its address")


class NoSession(MusterError):
    """Raised when a server has closed every session that a workload may use."""

    retryable = True

    def __init__(self, name: str) -> None:
        super().__init__(f"the Spark server has closed {MAX_SESSIONS} sessions of '{name}'; restart it")


def connect_session(remote: str, name: str, tag: str) -> SparkSession:
    """Return the session called `name` of a Connect server, its work under `tag` and what was left there stopped.

    All processes that ask for one name share one session, and so its warm Python workers. A session that the server
    has closed (idle for too long, or released by someone) never comes back: then the next one of that name is used.
    """
    require_server(remote)
    for generation in range(MAX_SESSIONS):
        session_id = uuid.uuid5(uuid.NAMESPACE_URL, f"muster/{name}/{generation}")
        session = SparkSession.builder.remote(address(remote, session_id)).create()
        try:
            session.interruptTag(tag)
        except PySparkException as error:
            if error.getCondition() != "INVALID_HANDLE.SESSION_CLOSED":
                raise
            session.client.close()
            continue
        session.conf.set(*MICROSECONDS)
        session.addTag(tag)
        on_termination(lambda: session.interruptTag(tag))  # noqa: B023 - returns here
        return session
    raise NoSession(name)


def submitted_session(tag: str) -> SparkSession:
    """Return the session of this application: it ends with its JVM, and this process with that."""
    die_with_parent(os.getppid())
    on_termination(lambda: None)
    session = SparkSession.builder.appName(tag).config(*MICROSECONDS).getOrCreate()
    session.addTag(tag)
    return session


def require_server(remote: str) -> None:
    """Raise `NoServer` when nothing listens at the address."""
    url = urlsplit(remote)
    host, port = url.hostname or "localhost", url.port or DEFAULT_PORT
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
    except OSError as error:
        raise NoServer(host, port, error) from error


def address(remote: str, session_id: uuid.UUID) -> str:
    """Add a session to a Connect address; and a user, since a server keeps each user's sessions apart."""
    host, _, params = remote.partition("/;")
    user = [] if "user_id=" in params else ["user_id=muster"]
    return f"{host.rstrip('/')}/;{';'.join([*filter(None, [params]), *user, f'session_id={session_id}'])}"


def on_termination(cleanup: Callable[[], object]) -> None:
    """On SIGTERM or SIGINT call `cleanup`, then end the process, whatever the main thread is blocked in.

    Python runs a signal's handler in the main thread only, between two of its instructions. The wake-up pipe is
    written at once, so a thread that reads it can act while the main thread waits for a server.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write)

    def watch() -> None:
        number = 0
        while number not in (signal.SIGTERM, signal.SIGINT):
            number = os.read(read, 1)[0]
        threading.Timer(SHUTDOWN_SECONDS, os._exit, [128 + number]).start()
        with suppress(Exception):
            cleanup()
        os._exit(128 + number)

    threading.Thread(target=watch, name="termination", daemon=True).start()
