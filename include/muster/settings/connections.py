"""Where a workload's databases are: `MUSTER_CONNECTION_<NAME>`, of the environment or `.env`, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource

from muster.settings import PROJECT, Settings

PREFIX = "MUSTER_CONNECTION_"

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
    in_file = DotEnvSettingsSource(Settings, env_file=PROJECT / ".env", case_sensitive=True).env_vars
    both = {name: value or "" for name, value in {**in_file, **_without_empty(), **_GIVEN.get()}.items()}
    return {name: value.strip() for name, value in both.items() if name.startswith(PREFIX) and value.strip()}


def _without_empty() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if value.strip()}
