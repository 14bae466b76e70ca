"""What the connections to servers share: one is found by its type, its address is a server's and holds no secret."""

from __future__ import annotations

import base64
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from muster_airflow.exceptions import ConnectionRefused


class ServerHook(BaseHook):
    """Read a connection to a server.

    Host is a full address (`https://mlflow.example/prefix`) or a name, then with a port and a schema (`http` where none
    is given).

    :param conn_id: the connection's id.
    """

    conn_type: ClassVar[str]
    rule: ClassVar[str]
    """What to do where the connection tells of no server."""

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    @cached_property
    def connection(self) -> Connection:
        """The connection, once it is found to be one of the type.

        Raises:
            ConnectionRefused: when there is none, or it is of another type.
        """
        try:
            connection = self.get_connection(self.conn_id)
        except AirflowNotFoundException:
            raise self._refused("does not exist or cannot be read", self.rule) from None
        if connection.conn_type != self.conn_type:
            raise self._refused(f"has the type '{connection.conn_type}'", self.rule)
        if connection.login and connection.password:  # the password itself Airflow masks when it reads the connection
            mask_secret(base64.b64encode(f"{connection.login}:{connection.password}".encode()).decode())
        return connection

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
            raise self._refused(f"has the host '{host}', which is no address of a server", self.rule)
        if parts.username or parts.password:
            raise self._refused("has credentials in its host", "they belong in Login and Password")
        if port and not parts.port:
            address = parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
        return address

    def _refused(self, problem: str, rule: str) -> ConnectionRefused:
        return ConnectionRefused(self.conn_id, problem, rule)
