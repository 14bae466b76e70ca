"""The connection to MLflow as an operator meets it in the running Airflow: listed, to be edited and to be tested."""

from __future__ import annotations

import pytest

from tests.conftest import RunningStack
from tests.e2e.rest import Airflow

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


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
