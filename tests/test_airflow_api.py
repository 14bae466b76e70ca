"""Asking an Airflow that does not answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from muster import airflow_api
from muster.airflow_api import Airflow, AirflowRefused, AirflowUnreachable


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


class Answers(Session):
    """Answers each request from its path and parameters."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(1)
        self.answer = answer

    def request(self, *_: Any, **arguments: Any) -> requests.Response:  # type: ignore[override]
        response = super().request()
        response._content = json.dumps(self.answer(arguments["params"])).encode()
        return response


def test_all_that_is_paused_is_read_page_by_page() -> None:
    dags = [{"dag_id": f"w{number}.ingest"} for number in range(230)]
    session = Answers(lambda asked: {"dags": dags[asked["offset"] : asked["offset"] + asked["limit"]]})
    assert len(Airflow("http://airflow", None, session).paused()) == 230


def test_a_run_without_a_partition_key_is_no_partitions() -> None:
    """So `up` neither watches it nor waits for it."""
    times = dict.fromkeys(("duration", "queued_at", "start_date", "end_date"))
    rows = [
        {"dag_id": "w.ingest", "dag_run_id": str(key), "state": "running", "partition_key": key, **times}
        for key in (None, "2024-02-05", "2024-02-051")
    ]
    session = Answers(lambda _: {"dag_runs": rows})
    assert [run.partition for run in Airflow("http://airflow", None, session).runs("2024-02-05")] == ["2024-02-05"]


class Triggered(Session):
    """Starts runs by their ids; of the next requests some arrive, and some are answered otherwise than with 200."""

    def __init__(self, *answers: tuple[bool, int | None]) -> None:
        super().__init__(1)
        self.answers = [*answers, (True, 200)]
        self.runs: list[str] = []

    def request(self, *_: Any, **arguments: Any) -> requests.Response:  # type: ignore[override]
        arrives, status = self.answers.pop(0)
        run = arguments["json"]["dag_run_id"]
        response = super().request()
        if run in self.runs:
            response.status_code = 409
            return response
        if arrives:
            self.runs.append(run)
        if status is None:
            raise requests.ConnectionError("reset")
        response.status_code = status
        return response


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([(False, 500)], id="the database was busy"),
        pytest.param([(True, 500)], id="started, and an error all the same"),
        pytest.param([(True, None)], id="started, and no answer"),
        pytest.param([(False, None), (False, 503), (True, None)], id="one after the other"),
    ],
)
def test_a_request_that_is_sent_again_starts_one_run(answers: list[tuple[bool, int | None]]) -> None:
    session = Triggered(*answers)
    Airflow("http://airflow", None, session, lambda: True).trigger("flights.ingest", "2024-02-05")
    assert len(session.runs) == 1


def test_each_trigger_is_a_run_of_its_own() -> None:
    session = Triggered((True, 200))
    airflow = Airflow("http://airflow", None, session)
    airflow.trigger("flights.ingest", "2024-02-05")
    airflow.trigger("flights.ingest", "2024-02-05")
    assert len(set(session.runs)) == 2


def test_a_trigger_that_is_refused_says_why() -> None:
    session = Triggered((False, 400))
    with pytest.raises(AirflowRefused, match=r"POST /dags/flights\.ingest/dagRuns with 400"):
        Airflow("http://airflow", None, session).trigger("flights.ingest", "no date")


def test_an_error_that_stays_is_told() -> None:
    session = Triggered(*[(False, 500)] * 99)
    with pytest.raises(AirflowRefused, match="with 500"):
        Airflow("http://airflow", None, session, lambda: True).trigger("flights.ingest", "2024-02-05")
