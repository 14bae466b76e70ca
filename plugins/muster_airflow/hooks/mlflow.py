"""The Airflow connection to MLflow: where the server is, who we are there, how many calls a second it takes."""

from __future__ import annotations

import base64
import json
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from muster_airflow.exceptions import ConnectionRefused

BUDGET = ("search", "log_batch", "registry", "rest")
"""The classes of calls, each a figure of the connection's extra: calls a second."""

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""The variables by which MLflow's client signs in; nothing but the connection sets them for a job."""

RULE = 'give it a server: {"conn_type": "mlflow", "host": "https://mlflow.example"}'


class MlflowHook(BaseHook):
    """Read a connection of the type `mlflow`.

    Host is a full address (`https://mlflow.example/prefix`) or a name, then with a port and a schema (`http` where none
    is given). A login and password sign in by basic authentication; a password without a login is a bearer token. The
    extra may hold `search`, `log_batch`, `registry` and `rest`: calls a second that the server takes.

    A connection that is missing is an error, not a reason to take another server: nothing is ever written to, or read
    from, a server that nobody named.

    :param mlflow_conn_id: the connection's id.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    @cached_property
    def connection(self) -> Connection:
        """The connection, once it is found to be one of MLflow.

        Raises:
            ConnectionRefused: when there is none, or it is of another type.
        """
        try:
            found = self.get_connection(self.mlflow_conn_id)
        except AirflowNotFoundException:
            raise self._refused("does not exist or cannot be read", RULE) from None
        if found.conn_type != self.conn_type:
            raise self._refused(f"has the type '{found.conn_type}'", RULE)
        if found.login and found.password:  # the password itself Airflow masks when it reads the connection
            mask_secret(base64.b64encode(f"{found.login}:{found.password}".encode()).decode())
        return found

    @property
    def uri(self) -> str:
        """The server's address without a trailing slash.

        Raises:
            ConnectionRefused: when the connection names none, or hides credentials in it.
        """
        host, port = (self.connection.host or "").strip().rstrip("/"), self.connection.port
        address = host if "://" in host else f"{self.connection.schema or 'http'}://{host}"
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self._refused(f"has the host '{host}', which is no address of a server", RULE)
        if parts.username or parts.password:
            raise self._refused("has credentials in its host", "they belong in Login and Password")
        if port and not parts.port:
            address = parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
        return address

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a job of the server: never arguments, which anyone on the machine can read."""
        login, password = self.connection.login, self.connection.password
        credentials = dict.fromkeys(CREDENTIALS[:2]) if not login else {CREDENTIALS[0]: login, CREDENTIALS[1]: password}
        if password and not login:
            credentials = {CREDENTIALS[2]: password}
        budget = self.budget()
        return {
            "MUSTER_MLFLOW_URI": self.uri,
            "MLFLOW_TRACKING_URI": self.uri,
            **{name: value for name, value in credentials.items() if value},
            **({"MUSTER_MLFLOW_BUDGET": json.dumps(budget)} if budget else {}),
        }

    def budget(self) -> dict[str, float]:
        """Return the figures that the connection sets, in calls a second.

        Raises:
            ConnectionRefused: when one is no positive number.
        """
        extra = self.connection.extra_dejson
        given = {name: extra[name] for name in BUDGET if extra.get(name) not in (None, "")}
        return {name: self._positive(name, value) for name, value in given.items()}

    def test_connection(self) -> tuple[bool, str]:
        """Ask the server who it is and whether it lets us in; for the form's Test button."""
        from muster_airflow.hooks.mlflow_answers import Unfit, ask

        try:
            self.budget()
            return True, ask(self.uri, self.connection.login, self.connection.password)
        except (ConnectionRefused, Unfit) as problem:
            return False, str(problem)

    def _positive(self, name: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < float("inf"):
            rule = "give a number greater than 0, of calls a second"
            raise self._refused(f"sets the budget '{name}' to '{value}'", rule)
        return int(number) if number.is_integer() else number

    def _refused(self, problem: str, rule: str) -> ConnectionRefused:
        return ConnectionRefused(self.mlflow_conn_id, problem, rule)
