"""A database that a source's statement is sent to: read only, in UTC, in one transaction; no error shows a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from muster.errors import MusterError
from muster.settings.connections import connection_url, variable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

URL_EXAMPLE = "postgresql://user:password@host:5432/database"

UTC_OF_MYSQL = "+00:00"
"""Which it knows without the tables of zones that its administrator may have loaded."""
_MYSQL = ("SET time_zone = '{zone}'", "SET SESSION TRANSACTION READ ONLY")
_AT_FIRST: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("SET TIME ZONE '{zone}'",),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": ("PRAGMA query_only = ON",),
}
"""What each connection begins with: its days are those of the workload's zone, and nothing is written."""
_ONE_STATE: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "mysql": {"isolation_level": "REPEATABLE READ"},
    "mariadb": {"isolation_level": "REPEATABLE READ"},
}
"""By which all statements of a transaction see one state; SQLite's do in any transaction."""
_LASTING = re.compile(
    r"password authentication failed|no password supplied|no pg_hba.conf entry|access denied|unknown (database|column)"
    r"|(role|database) \S+ does not exist|no such (table|column|function)|syntax error|could not decode"
    r"|unable to open database file|file is not a database",
    re.IGNORECASE,
)
"""Said in errors that drivers raise of the kind that passes, and that nobody but a human ends."""
_SECRET = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)


class BadDatabase(MusterError):
    """Raised when a source's database does not give what is asked of it."""

    def __init__(self, connection: str, problem: str) -> None:
        super().__init__(f"the source's database '{connection}' {problem}")


class BadValue(BadDatabase):
    """Raised when the database cannot compare a column with a value."""


class DatabaseLost(BadDatabase):
    """Raised when the database does not answer, or ends a connection."""

    retryable = True


class DatabaseChanged(BadDatabase):
    """Raised when what has arrived for a day is not what it was when the run began."""

    retryable = True

    def __init__(self, connection: str, problem: str) -> None:
        super().__init__(connection, f"{problem}; run ingest again")


class NoAddress(BadDatabase):
    """Raised in a process that does not know where a database is."""

    def __init__(self, connection: str, problem: str) -> None:
        super().__init__(
            connection,
            f"{problem}: set {variable(connection)} to a SQLAlchemy URL, as {URL_EXAMPLE}, in the environment of this "
            "process (a job's, './muster try', and that of Spark's executors or Connect server), or in the project's "
            f".env; or make an Airflow connection '{connection}', which jobs and executors of 'spark-submit' are given",
        )


@contextmanager
def connected(name: str, zone: str | None = None) -> Iterator[Connection]:
    """Connect to a database, in one transaction that only reads; what it cannot do is told without any secret.

    Where the database knows moments, its days are those of `zone`, else UTC's.

    Raises:
        NoAddress: when this process does not know where it is.
        DatabaseLost: when it does not answer: worth another try.
        BadDatabase: when it refuses what is asked.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = _url(name)
    try:
        with _engine(name, url, zone).connect() as connection:
            if url.get_backend_name() == "sqlite":
                connection.exec_driver_sql("BEGIN")  # its driver begins none to read
            yield connection
    except SQLAlchemyError as error:
        raise _refusal(name, url, error) from None  # what it came of may show the address


def _url(name: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    address = connection_url(name)
    if address is None:
        raise NoAddress(name, "has no address here")
    try:
        url = make_url(address.get_secret_value())
    except (ArgumentError, ValueError):
        raise NoAddress(name, f"has no SQLAlchemy URL as its address in {variable(name)}") from None
    if any("@" in (part or "") for part in (url.host, url.database)):  # what is before was of a password
        raise NoAddress(name, f"has '@' in its password in {variable(name)}: write it as %40")
    if url.drivername in ("postgres", "postgresql"):  # SQLAlchemy's own default may be the one that is not installed
        url = url.set(drivername="postgresql" if find_spec("psycopg") else "postgresql+psycopg2")
    return url


def _engine(name: str, url: URL, zone: str | None) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    kind = url.get_backend_name()
    if zone is not None and kind not in _AT_FIRST:
        raise BadDatabase(
            name,
            f"is {kind}, which Muster cannot ask for the days of 'time.zone': leave it out; with it are read "
            f"{', '.join(_AT_FIRST)}",
        )
    in_time = {"connect_timeout": 10} if kind == "postgresql" and "connect_timeout" not in url.query else {}
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=in_time)
    except (ImportError, NoSuchModuleError) as error:
        module = getattr(error, "name", None) or url.drivername
        raise BadDatabase(name, f"needs the driver '{module}', which is not installed here") from None
    except (ArgumentError, TypeError):
        raise NoAddress(name, f"has no SQLAlchemy URL as its address in {variable(name)}") from None

    @event.listens_for(engine, "connect")
    def begin(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for statement in _AT_FIRST.get(kind, ()):
            cursor.execute(statement.format(zone=zone or (UTC_OF_MYSQL if kind in ("mysql", "mariadb") else "UTC")))
        cursor.close()
        connection.commit()

    return engine.execution_options(**_ONE_STATE.get(kind, {}))


def _refusal(name: str, url: URL, error: Exception) -> BadDatabase:
    """Return what the driver says, as an error that is worth another try or is not."""
    from sqlalchemy import exc

    text = redacted(url, " ".join(str(getattr(error, "orig", None) or error).partition("\nLINE ")[0].split()))[:300]
    if isinstance(error, exc.DataError):
        return BadValue(name, f"cannot be asked ({text})")
    if isinstance(error, (exc.OperationalError, exc.InterfaceError)) and not _LASTING.search(text):
        return DatabaseLost(name, f"does not answer, or has ended the connection ({text}); run it again")
    return BadDatabase(name, f"refuses what is asked ({text})")


def redacted(url: URL, text: str) -> str:
    """Return a text without the secrets of an address, however they are written."""
    of_query = [value for key, value in url.query.items() if _SECRET.search(key)]
    passwords = [url.password, *(one for value in of_query for one in ([value] if isinstance(value, str) else value))]
    secrets = {kind(str(one)) for one in passwords if one for kind in (str, quote, quote_plus)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
