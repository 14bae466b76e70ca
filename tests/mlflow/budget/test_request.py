"""MLflow's client through the budget: what is sent again, what never, and what the caller is told."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow.utils.rest_utils import MlflowHostCreds, http_request

from muster.mlflow import budget
from muster.mlflow.budget import BudgetSpent, ResponseLost, ServerUnavailable, muster_errors
from muster.mlflow.client import connect
from tests.mlflow.budget.conftest import Answer, Server

CREATE = "/api/2.0/mlflow/runs/create"
GET = "/api/2.0/mlflow/runs/get"
FAILURES = [Answer(500), Answer(503), Answer(cut=True), Answer(504)]


def send(server: Server, path: str, method: str = "GET", **request: Any) -> Any:
    connect()
    with muster_errors():
        return http_request(MlflowHostCreds(server.uri, token="secret"), path, method, **request)


def test_what_may_be_repeated_is_sent_until_it_is_answered(server: Server) -> None:
    server.answers = list(FAILURES)
    before = budget.count()
    assert send(server, GET).status_code == 200
    assert len(server.requests) == 5
    assert budget.count() - before == 5
    assert {request.authorization for request in server.requests} == {"Bearer secret"}


@pytest.mark.parametrize("trouble", [Answer(500), Answer(cut=True), Answer(hold=1)], ids=["500", "cut", "timeout"])
def test_what_makes_something_is_sent_once(server: Server, trouble: Answer) -> None:
    server.answers = [trouble]
    with pytest.raises(ResponseLost, match="what it creates may be there or not"):
        send(server, CREATE, "POST", json={}, timeout=0.5)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["0", "soon", "", None])
def test_a_throttled_call_is_sent_again_whatever_it_is(server: Server, header: str | None) -> None:
    server.answers = [Answer(429, {"Retry-After": header} if header is not None else {}) for _ in range(4)]
    assert send(server, CREATE, "POST", json={"a": 1}).status_code == 200
    assert [request.body for request in server.requests] == [b'{"a": 1}'] * 5


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(server: Server, form: str) -> None:
    date = format_datetime(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3), usegmt=True)
    server.answers = [Answer(429, {"Retry-After": "2" if form == "seconds" else date})]
    send(server, GET)
    throttled, again = (request.at for request in server.requests)
    assert 1.5 < again - throttled < 4


def test_a_long_closure_is_told_at_once_and_to_everybody(server: Server) -> None:
    server.answers = [Answer(429, {"Retry-After": "600"})]
    for _ in range(2):
        began = time.time()
        with pytest.raises(
            BudgetSpent, match=r"calls of class 'rest' to 127.0.0.1:.* are throttled by the server"
        ) as spent:
            send(server, GET)
        assert time.time() - began < 2
        assert 590 < (spent.value.until - datetime.now(UTC)).total_seconds() <= 600
    assert len(server.requests) == 1
    closed = budget.closure()
    assert closed is not None
    assert abs((closed.until - spent.value.until).total_seconds()) < 1


def test_another_class_of_call_stays_open(server: Server) -> None:
    server.answers = [Answer(429, {"Retry-After": "600"})]
    with pytest.raises(BudgetSpent):
        send(server, GET)
    assert send(server, "/api/2.0/mlflow/runs/search", "POST", json={}).status_code == 200


def test_a_server_under_maintenance_is_left_alone_for_as_long_as_it_says(server: Server) -> None:
    server.answers = [Answer(503, {"Retry-After": "600"})]
    with pytest.raises(BudgetSpent, match="put off by the server"):
        send(server, GET)
    with pytest.raises(BudgetSpent):
        send(server, "/api/2.0/mlflow/runs/search", "POST", json={})


def test_an_upload_is_sent_again_whole(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "shard.bin"
    file.write_bytes(b"x" * 300_000)
    server.answers = [Answer(500), Answer(429), Answer(cut=True)]
    with file.open("rb") as body:
        send(server, "/api/2.0/mlflow-artifacts/artifacts/1/shard.bin", "PUT", data=body)
    assert [len(request.body) for request in server.requests] == [300_000] * 4


@pytest.mark.slow
def test_a_server_that_goes_on_failing_is_never_read_as_having_nothing(server: Server) -> None:
    missing = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such alias"}'
    server.answers = [Answer(500, body=missing)] * 1000
    with pytest.raises(ServerUnavailable, match=r"answered 500 \(no such alias\), sent \d+ times"):
        send(server, GET)
    assert len(server.requests) > 10


@pytest.mark.slow
def test_a_server_that_is_not_there_got_nothing_so_all_is_sent_again(server: Server) -> None:
    server.close()
    with pytest.raises(ServerUnavailable):
        send(server, CREATE, "POST", json={})


def test_what_the_server_refuses_is_the_callers_matter(server: Server) -> None:
    server.answers = [Answer(404)]
    assert send(server, GET).status_code == 404
    assert len(server.requests) == 1


def test_no_password_is_told(server: Server) -> None:
    server.answers = [Answer(500)]
    connect()
    with pytest.raises(ResponseLost) as lost, muster_errors():
        http_request(MlflowHostCreds(server.uri.replace("//", "//me:secret@")), CREATE, "POST", json={})
    assert "secret" not in str(lost.value)


@pytest.mark.slow
def test_only_a_process_that_has_connected_by_muster_has_the_budget(server: Server) -> None:
    call = f"mlflow.MlflowClient('{server.uri}').get_run('x'); print(budget.count())"
    imports = "import mlflow; from muster.mlflow import budget; from muster.mlflow.client import connect"
    code = f"{imports}; {call}; connect(); {call}"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert completed.stdout.split() == ["0", "1"], completed.stderr
    assert len(server.requests) == 2


@pytest.mark.slow
def test_importing_the_budget_imports_no_mlflow() -> None:
    ours = "muster.mlflow.budget, muster.mlflow.budget.budget, muster_jobs.job"
    code = f"import sys, {ours}; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
