"""The connection to MLflow: what a job gets of it, who gets to see it, and what its Test button says."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from airflow.models.connection import Connection as Stored
from airflow.providers_manager import ProvidersManager

from muster_airflow.exceptions import ConnectionRefused
from muster_airflow.hooks.mlflow import MlflowHook
from muster_local.ports import free_ports

Connect = Callable[..., MlflowHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a maker of hooks: each reads its connection as the Test button hands it over, as a URI."""

    def make(conn_type: str = "mlflow", **fields: Any) -> MlflowHook:
        extra = json.dumps(fields.pop("extra", {}))
        stored = Stored(conn_id="mlflow_default", conn_type=conn_type, extra=extra, **fields)
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", stored.get_uri())
        return MlflowHook()

    return make


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({"host": "https://ml.example/Pre/fix/"}, "https://ml.example/Pre/fix"),
        ({"host": "ml.example"}, "http://ml.example"),
        ({"host": "ml.example", "port": 5000, "schema": "https"}, "https://ml.example:5000"),
        ({"host": "http://127.0.0.1", "port": 5000}, "http://127.0.0.1:5000"),
        ({"host": "https://ml.example/Pre/fix", "port": 443}, "https://ml.example:443/Pre/fix"),
        ({"host": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000"),
    ],
)
def test_the_server_is_a_full_address_or_a_name_with_port_and_scheme(
    connect: Connect, fields: dict[str, Any], uri: str
) -> None:
    assert connect(**fields).uri == uri


def test_people_may_find_the_server_at_another_address(connect: Connect) -> None:
    assert connect(host="mlflow", port=5000).ui == "http://mlflow:5000"
    assert connect(host="mlflow", port=5000, extra={"ui": "https://ml.example/"}).ui == "https://ml.example"


@pytest.mark.parametrize("host", ["", "file:///tmp", "http://"])
def test_a_host_that_is_no_server_is_refused(connect: Connect, host: str) -> None:
    with pytest.raises(ConnectionRefused, match="which is no address of a server; give it a server"):
        _ = connect(host=host).uri


def test_credentials_in_the_address_are_refused_without_telling_them(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"conn_type": "mlflow", "host": "http://ann:s3cret-word@ml.example"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(value))
    with pytest.raises(ConnectionRefused, match="belong in Login and Password") as refused:
        _ = MlflowHook().uri
    assert "s3cret-word" not in str(refused.value)


def test_a_missing_connection_is_refused_and_no_other_server_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_MLFLOW_DEFAULT", raising=False)
    monkeypatch.setenv("MUSTER_MLFLOW_URI", "http://elsewhere")
    with pytest.raises(ConnectionRefused, match="'mlflow_default' does not exist or cannot be read; give it a server"):
        MlflowHook().environment()


def test_a_connection_of_another_type_is_refused(connect: Connect) -> None:
    with pytest.raises(ConnectionRefused, match="has the type 'http'"):
        connect("http", host="ml.example").environment()


def test_a_login_signs_in_by_password_and_a_password_alone_is_a_token(connect: Connect) -> None:
    both = connect(host="ml.example", login="ann@x", password="s3cr:et/word").environment()
    assert (both["MLFLOW_TRACKING_USERNAME"], both["MLFLOW_TRACKING_PASSWORD"]) == ("ann@x", "s3cr:et/word")
    token = connect(host="ml.example", password="s3cr:et/word").environment()
    assert token["MLFLOW_TRACKING_TOKEN"] == "s3cr:et/word"
    assert "MLFLOW_TRACKING_TOKEN" not in both
    assert not {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"} & set(token)


def test_a_job_is_told_the_server_and_all_figures(connect: Connect) -> None:
    extra = {"search": 3, "rest": "12.5", "log_batch": None, "registry": ""}
    environment = connect(host="ml.example", extra=extra).environment()
    assert environment["MUSTER_MLFLOW_URI"] == environment["MLFLOW_TRACKING_URI"] == "http://ml.example"
    figures = {"search": 3, "log_batch": 47, "registry": 40, "rest": 12.5}
    assert json.loads(environment["MUSTER_MLFLOW_BUDGET"]) == figures


@pytest.mark.parametrize("figure", [0, -1, "many"])
def test_a_figure_that_is_none_is_refused(connect: Connect, figure: Any) -> None:
    hook = connect(host="ml.example", extra={"search": figure})
    with pytest.raises(ConnectionRefused, match=f"'search' is '{figure}': give the calls a second as a number above 0"):
        hook.environment()
    assert hook.test_connection()[0] is False


def test_airflow_offers_the_type_with_a_form_of_its_own() -> None:
    manager = ProvidersManager()
    fields = {name for name in manager.connection_form_widgets if name.startswith("extra__mlflow__")}
    assert fields == {f"extra__mlflow__{name}" for name in ("ui", "search", "log_batch", "registry", "rest")}
    assert manager.field_behaviours["mlflow"]["relabeling"]["password"] == "Password, or token"


@pytest.fixture
def answers() -> Iterator[Callable[[int, dict[str, str], str], str]]:
    """Return a maker of servers that answer everything alike; it returns their address."""
    servers: list[HTTPServer] = []

    def serve(status: int, headers: dict[str, str], body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for header in headers.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "headers", "body", "problem"),
    [
        (200, {}, "<html>", "no MLflow at .*: it answered 200"),
        (302, {"Location": "/login?next=x"}, "", "no MLflow at .*: it answered 302 to /login "),
        (401, {}, "", r"wants credentials: fill in Login and Password, or a token as Password \(401\)"),
        (403, {}, "", r"forbids it \(403\): .*--allowed-hosts"),
        (429, {"Retry-After": "7"}, "", r"is throttled \(429\): try again in 7 s"),
        (503, {}, "", r"is throttled \(503\): try again later"),
    ],
)
def test_the_test_button_says_what_is_wrong(
    connect: Connect, answers: Any, status: int, headers: dict[str, str], body: str, problem: str
) -> None:
    fit, message = connect(host=answers(status, headers, body)).test_connection()
    assert not fit
    assert re.search(problem, message), message


def test_the_test_button_says_that_nobody_listens(connect: Connect) -> None:
    fit, message = connect(host=f"http://127.0.0.1:{free_ports(1)[0]}").test_connection()
    assert not fit
    assert "cannot be reached (ConnectionError): does the server run, is the port right?" in message
