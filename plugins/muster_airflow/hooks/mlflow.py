"""The Airflow connection to MLflow: where the server is, who we are there, how many calls a second it takes."""

from __future__ import annotations

from pydantic import ValidationError

from muster.settings.limits import CLASSES, CallRates
from muster_airflow.exceptions import ConnectionRefused
from muster_airflow.hooks.server import ServerHook

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""The variables by which MLflow's client signs in; nothing but the connection sets them for a job."""

RULE = 'give it a server: {"conn_type": "mlflow", "host": "https://mlflow.example"}'


class MlflowHook(ServerHook):
    """Read a connection of the type `mlflow`.

    Host is a full address (`https://mlflow.example/prefix`) or a name, then with a port and a schema (`http` where none
    is given). A login and password sign in by basic authentication; a password without a login is a bearer token. The
    extra may hold `search`, `log_batch`, `registry` and `rest`: calls a second that the server takes; and `ui`: where
    people find it, if not at that address.

    A connection that is missing is an error, not a reason to take another server: nothing is ever written to, or read
    from, a server that nobody named.

    :param mlflow_conn_id: the connection's id.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    rule = RULE

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__(mlflow_conn_id)

    @property
    def ui(self) -> str:
        """Where people find the server: the extra's `ui`, where that is not the address that jobs use."""
        return str(self.connection.extra_dejson.get("ui") or self.uri).rstrip("/")

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a job of the server: never arguments, which anyone on the machine can read."""
        login, password = self.connection.login, self.connection.password
        credentials = dict.fromkeys(CREDENTIALS[:2]) if not login else {CREDENTIALS[0]: login, CREDENTIALS[1]: password}
        if password and not login:
            credentials = {CREDENTIALS[2]: password}
        return {
            "MUSTER_MLFLOW_URI": self.uri,
            "MUSTER_MLFLOW_BUDGET": self.budget().model_dump_json(),
            "MLFLOW_TRACKING_URI": self.uri,
            **{name: value for name, value in credentials.items() if value},
        }

    def budget(self) -> CallRates:
        """Return the calls a second that the server may be sent; what the connection leaves empty is Muster's own.

        Raises:
            ConnectionRefused: when a figure is none.
        """
        extra = self.connection.extra_dejson
        try:
            return CallRates(**{name: extra[name] for name in CLASSES if extra.get(name) not in (None, "")})
        except ValidationError as problems:
            problem = "; ".join(error["msg"].removeprefix("Value error, ") for error in problems.errors())
            raise self._refused("has a budget that cannot be kept", problem) from None

    def test_connection(self) -> tuple[bool, str]:
        """Ask the server who it is and whether it lets us in; for the form's Test button."""
        from muster_airflow.hooks.mlflow_answers import Unfit, ask

        try:
            self.budget()
            return True, ask(self.uri, self.connection.login, self.connection.password)
        except (ConnectionRefused, Unfit) as problem:
            return False, str(problem)
