"""Airflow's connection to a workload's database, as the variable by which a job and its executors find it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from muster.errors import MusterError
from muster.settings.connections import connection_url, given, variable
from muster.workload.load import load_workload
from muster_airflow.exceptions import ConnectionRefused

DIALECTS: Mapping[str, str] = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "sqlite": "sqlite",
}
"""What SQLAlchemy calls the databases of Airflow's connection types; of others the extra `sqlalchemy_scheme` says."""

RULE = (
    'give it a database: {"conn_type": "postgres", "host": "db.example", "login": "ann", "password": "...", '
    '"schema": "orders"}; of another type, name the driver in its extra: {"sqlalchemy_scheme": "mssql+pyodbc"}'
)


def database_environment(file: Path) -> dict[str, str]:
    """Return the variable that says where a workload's database is, by the Airflow connection of its source's name.

    Where Airflow has none, what this process's environment or `.env` says; where neither knows it, nothing, and the job
    then tells what to set; so of a source of another kind, and of a YAML that does not hold. In Airflow's logs its
    secrets are masked.

    Raises:
        ConnectionRefused: when the connection is of no database.
    """
    try:
        name = load_workload(file).source.connection
    except MusterError:
        return {}
    if name is None:
        return {}
    try:
        url = address(name, BaseHook.get_connection(name))
    except AirflowNotFoundException:
        return _of_environment(name)
    _mask(url)
    return {variable(name): url.render_as_string(hide_password=False)}


@contextmanager
def database_known(file: Path) -> Iterator[None]:
    """Have this thread know where a workload's database is, as its job would: for a source that Airflow asks itself.

    Raises:
        ConnectionRefused: when the connection is of no database.
    """
    with given(database_environment(file)):
        yield


def address(name: str, connection: Connection) -> URL:
    """Return a connection's address.

    Raises:
        ConnectionRefused: when it is of no database.
    """
    extra = connection.extra_dejson
    dialect = extra.get("sqlalchemy_scheme") or DIALECTS.get(connection.conn_type or "")
    if dialect is None:
        raise ConnectionRefused(name, f"has the type '{connection.conn_type}', which is no database's", RULE)
    database = connection.schema
    if dialect.startswith("sqlite"):  # whose connections have the file as their host
        return URL.create(dialect, database=connection.host or database)
    return URL.create(
        dialect,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=database or None,
        query=_options(extra),
    )


def _options(extra: Mapping[str, Any]) -> dict[str, str]:
    """Return what the driver is told beside: Airflow's own key for it, and how the line is encrypted."""
    named = {**extra.get("sqlalchemy_query", {}), **{key: extra[key] for key in extra if key.startswith("ssl")}}
    return {key: str(value) for key, value in named.items() if isinstance(value, (str, int, float))}


def _of_environment(name: str) -> dict[str, str]:
    known = connection_url(name)
    if known is None:
        return {}
    try:
        _mask(make_url(known.get_secret_value()))
    except (ArgumentError, ValueError):
        mask_secret(known.get_secret_value())
    return {variable(name): known.get_secret_value()}


def _mask(url: URL) -> None:
    """Have Airflow leave the password out of its logs, however an address writes it."""
    if url.password:
        for written in (str, quote, quote_plus, lambda text: quote(text, safe="")):
            mask_secret(written(str(url.password)))
