"""A Spark Connect server: any `sc://` endpoint, named by the Airflow connection `spark_connect`."""

from __future__ import annotations

from airflow.providers.apache.spark.hooks.spark_connect import SparkConnectHook
from airflow.sdk.exceptions import AirflowNotFoundException

from muster_airflow.backends.command import Command, python
from muster_airflow.backends.local import LocalBackend
from muster_airflow.backends.protocol import JobCall
from muster_airflow.exceptions import ConnectionRefused

CONN_ID = "spark_connect"
RULE = 'give it a server: {"conn_type": "spark_connect", "host": "sc://spark", "port": 15002}'


class ConnectBackend(LocalBackend):
    """Runs a job as a client of the server."""

    name = "connect"

    def command(self, call: JobCall, result: str) -> Command:
        """Return the command of a client; credentials go through the environment."""
        try:
            connection = SparkConnectHook.get_connection(CONN_ID)
        except AirflowNotFoundException:
            raise ConnectionRefused(CONN_ID, "does not exist or cannot be read", RULE) from None
        if connection.conn_type != SparkConnectHook.conn_type or not connection.host:
            problem = f"has the type '{connection.conn_type}' and the host '{connection.host or ''}'"
            raise ConnectionRefused(CONN_ID, problem, RULE)
        remote = SparkConnectHook(CONN_ID).get_connection_url()
        return Command(python(call, result), {"SPARK_REMOTE": remote}, spark_ui=connection.extra_dejson.get("ui", ""))
