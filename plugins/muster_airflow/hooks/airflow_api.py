"""The Airflow connection to Airflow's own REST API: a worker has no other way to start a run for a partition."""

from __future__ import annotations

from pathlib import Path

from muster.airflow_api import Airflow
from muster.mlflow.sign_in import Login
from muster_airflow.hooks.server import ServerHook


class AirflowApiHook(ServerHook):
    """Read a connection of the type `airflow_api`: where the REST API is, and who we are there.

    A login and password get a token; a password without a login is a token; without either the API asks for none. Who
    that is must be allowed to read and trigger the DAGs of the workloads, and to clear their runs.

    :param conn_id: the connection's id.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "airflow_api"
    conn_type = "airflow_api"
    hook_name = "Airflow's REST API"
    rule = 'give it this Airflow: {"conn_type": "airflow_api", "host": "https://airflow.example"}'

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__(conn_id)

    def client(self) -> Airflow:
        """Return a client of the API; its credentials stay in this process."""
        login, password = self.connection.login, self.connection.password
        if login:
            return Airflow(self.uri, Login(login, password or "", Path(f"the connection {self.conn_id}")))
        return Airflow(self.uri, token=password or None)

    def test_connection(self) -> tuple[bool, str]:
        """Ask the API something; for the form's Test button."""
        from muster.errors import MusterError
        from muster_airflow.exceptions import ConnectionRefused

        try:
            client = self.client()
            client.patience = 0.0
            return True, f"answers; {len(client.paused())} DAGs are paused"
        except (ConnectionRefused, MusterError) as problem:
            return False, str(problem)
