"""Where a workload's databases are, and keys of object stores: of the environment or `.env`, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource

from muster.settings import PROJECT, Settings

PREFIX = "MUSTER_CONNECTION_"
OF_STORES = ("AWS_", "AZURE_", "GOOGLE_", "DATABRICKS_")
"""How the names begin by which Spark, delta-rs and obstore are told where an object store is, and its keys."""

_GIVEN: ContextVar[Mapping[str, str]] = ContextVar("given", default={})  # noqa: B039 - nobody writes to it


def variable(connection: str) -> str:
    """Return the name of the variable that has a connection's address."""
    return f"{PREFIX}{connection.upper()}"


def connection_url(connection: str) -> SecretStr | None:
    """Return a connection's address, a SQLAlchemy URL that may hold a password; None where nobody set it."""
    address = connection_variables().get(variable(connection))
    return None if address is None else SecretStr(address)


@contextmanager
def given(variables: Mapping[str, str]) -> Iterator[None]:
    """Have this thread (or asyncio task) alone know some variables, before those of the environment.

    So a process that serves many workloads, as Airflow's triggerer, puts no address where all of them see it.
    """
    token = _GIVEN.set(variables)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def connection_variables() -> dict[str, str]:
    """Return the variables of all connections that this process knows: of the environment, then of `.env`."""
    both = {name: value or "" for name, value in {**_in_file(), **_without_empty(), **_GIVEN.get()}.items()}
    return {name: value.strip() for name, value in both.items() if name.startswith(PREFIX) and value.strip()}


def adopt_store_variables() -> None:
    """Take what `.env` says of object stores into this process's environment, where all that asks for it looks."""
    for name, value in _in_file().items():
        if name.startswith(OF_STORES) and value and name not in _without_empty():
            os.environ[name] = value


def _in_file() -> Mapping[str, str | None]:
    return DotEnvSettingsSource(Settings, env_file=PROJECT / ".env", case_sensitive=True).env_vars


def _without_empty() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if value.strip()}
