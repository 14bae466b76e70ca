"""The running Airflow as an operator meets it: by which names it answers, and the connection to MLflow there."""

from __future__ import annotations

import pytest
import requests

from tests.conftest import RunningStack
from tests.e2e.rest import Airflow

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_only_who_calls_this_machine_by_its_name_gets_a_token(running_stack: RunningStack) -> None:
    """As a browser does that a strange page leads here under a name of its own."""
    with requests.Session() as session:
        session.trust_env = False
        address = f"{running_stack.settings.airflow_url}/auth/token"
        tokens = {
            host: session.get(address, headers={"Host": host}, timeout=30).status_code
            for host in ("localhost", "evil.example:8680")
        }
    assert tokens == {"localhost": 201, "evil.example:8680": 400}


def test_mlflows_connection_is_listed_and_its_test_button_says_who_answers(
    airflow: Airflow, running_stack: RunningStack
) -> None:
    stored = airflow.get("/connections/mlflow_default")
    assert (stored["conn_type"], stored["port"]) == ("mlflow", running_stack.settings.mlflow_port)
    # As the page sends it.
    form = {"connection_id": "mlflow_default", "conn_type": "mlflow", "extra": "{}", "description": ""}
    form |= {
        "host": stored["host"],
        "port": stored["port"],
        "login": "",
        "password": "",
        "schema": "",
    }
    answer = airflow.ask("POST", "/connections/test", json=form)
    assert answer["status"], answer["message"]
    assert f"at {running_stack.settings.mlflow_tracking_uri} lets us in" in answer["message"]
