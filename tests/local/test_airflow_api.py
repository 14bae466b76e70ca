"""Asking an Airflow that does not answer."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from muster_local import airflow_api
from muster_local.airflow_api import Airflow, AirflowUnreachable


class Session(requests.Session):
    """Answers only from the given request on."""

    def __init__(self, answers_from: int) -> None:
        super().__init__()
        self.headers["Authorization"] = "Bearer x"
        self.left = answers_from

    def request(self, *_: Any, **__: Any) -> requests.Response:  # type: ignore[override]
        self.left -= 1
        if self.left > 0:
            raise requests.ReadTimeout("busy")
        response = requests.Response()
        response.status_code, response._content = 200, b'{"import_errors": []}'
        return response


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_one_whose_process_lives_is_waited_for_and_says_so() -> None:
    waited: list[str] = []
    airflow = Airflow("http://airflow", None, Session(5), lambda: True, lambda: waited.append("again"))
    assert airflow.import_errors() == []
    assert waited == ["again"] * 4


def test_one_whose_process_has_ended_is_given_up() -> None:
    lives = [True, True, False]
    airflow = Airflow("http://airflow", None, Session(99), lambda: lives.pop(0))
    with pytest.raises(AirflowUnreachable, match="Airflow does not answer at http://airflow"):
        airflow.import_errors()
    assert lives == []
