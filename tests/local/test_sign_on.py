"""Airflow and MLflow on an address that other machines reach: nobody gets in without a password, and Muster does.

Only what asks for a password is started: MLflow, and of Airflow the api-server. At last they crash, and are gone after
`down`. That all services are healthy together, and left alone by a second start, is seen on the stack of `tests/e2e`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest
import requests

from muster.airflow_api import Airflow, SignInRefused
from muster.mlflow import sign_in
from muster.mlflow.client import connect
from muster.settings import Settings
from muster.settings import settings as settings_of_process
from muster_local import airflow_services, local, passwords, process
from muster_local.airflow_database import update_database
from muster_local.environment import environment
from muster_local.ports import free_ports
from muster_local.service import Starter
from tests.promotion.conftest import Line
from tests.shared import settings_of

pytestmark = pytest.mark.slow


def address() -> str:
    """Return an address of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return one.address
    pytest.skip("this machine has no address but loopback: nothing could be exposed")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a home whose services others reach; what a test starts of it is stopped at the end."""
    host = address()
    home = settings_of(tmp_path_factory.mktemp("exposed"))
    names = ("airflow_port", "mlflow_port")
    settings = home.model_copy(update={"host": host, **dict(zip(names, free_ports(2, host), strict=True))})
    yield settings
    local.stop(settings)


@pytest.fixture(scope="module")
def server(exposed: Settings) -> Settings:
    local.start(exposed, ["mlflow"])
    return exposed


@pytest.fixture(scope="module")
def both(server: Settings) -> Settings:
    """The settings once Airflow's api-server is there, too; the last test takes both down."""
    home = server.home.resolve()
    passwords.create_passwords(server)
    env = environment(server)
    airflow = airflow_services.part(server, lambda: update_database(server, home, env))
    api = replace(airflow, services=[one for one in airflow.services if one.name == "airflow-api"])
    Starter(home, server.host, env, threading.Event(), lambda *_: None).start(api)
    return server


@pytest.fixture
def signed_in(server: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This process as a command of that home: it finds the password by itself."""
    for name in sign_in.CREDENTIALS:
        monkeypatch.setenv(name, "restored at the end")
        monkeypatch.delenv(name)
    for name in ("home", "host", "mlflow_port", "mlflow_uri"):
        monkeypatch.setenv(f"MUSTER_{name.upper()}", str(getattr(server, name)))
    settings_of_process.cache_clear()
    yield server
    settings_of_process.cache_clear()


def search(settings: Settings, **more: object) -> requests.Response:
    url = f"{settings.mlflow_tracking_uri}/api/2.0/mlflow/experiments/search"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, json={"max_results": 1}, timeout=30, **more)


def test_mlflow_lets_nobody_in_without_the_password(server: Settings) -> None:
    login = sign_in.mlflow_login(server)
    assert login is not None
    assert search(server).status_code == 401
    assert search(server, auth=("admin", "password1234")).status_code == 401
    assert search(server, auth=login[:2]).status_code == 200


def test_airflows_connection_to_it_tells_whether_it_lets_us_in(
    server: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))  # read when Airflow is imported
    from muster_airflow.hooks.mlflow import MlflowHook

    def tested(**credentials: str) -> tuple[bool, str]:
        value = {"conn_type": "mlflow", "host": server.mlflow_tracking_uri, **credentials}
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(value))
        return MlflowHook().test_connection()

    login = sign_in.mlflow_login(server)
    assert login is not None
    fit, message = tested(login=login.user, password=login.password)
    assert fit, message
    assert message.endswith("lets us in as 'admin'")
    assert tested(login=login.user, password="password1234") == (
        False,
        f"{server.mlflow_tracking_uri} does not accept these credentials (401)",
    )
    assert "wants credentials: fill in Login and Password" in tested()[1]


def test_mlflows_own_page_may_ask_and_a_strange_one_may_not(server: Settings) -> None:
    login = sign_in.mlflow_login(server)
    assert login is not None
    own, strange = server.mlflow_tracking_uri, "http://strange.example"
    assert search(server, auth=login[:2], headers={"Origin": own}).status_code == 200
    assert search(server, auth=login[:2], headers={"Origin": strange}).status_code == 403
    assert search(server, auth=login[:2], headers={"Host": "strange.example"}).status_code == 403


def test_muster_signs_in_by_itself_and_promotes_and_scores(signed_in: Settings, tmp_path: Path) -> None:
    line = Line(tmp_path)
    run = line.train(line.first, {"A,X": 1.0})
    line.decide(line.first, run, {"A,X": "promote"})
    assert line.promote(line.first)["to_version"] == "1"
    connect()
    rows = pd.DataFrame({"carrier": ["A"], "origin": ["X"], "a": [0.0], "b": [0.0], "record": [0.0]})
    assert mlflow.pyfunc.load_model(f"models:/{line.name}@Champion").predict(rows)["score"].tolist() == [0.5]


def test_a_call_costs_milliseconds_not_the_quarter_second_of_a_passwords_hash(signed_in: Settings) -> None:
    client = connect()
    client.search_experiments(max_results=1)
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        client.search_experiments(max_results=1)
        seconds.append(time.monotonic() - began)
    assert statistics.median(seconds) < 0.13


def test_the_password_is_in_no_command_line_and_no_log(signed_in: Settings) -> None:
    login = sign_in.mlflow_login(signed_in)
    assert login is not None
    commands = []
    for one in psutil.process_iter():
        try:
            commands.append(" ".join(one.cmdline()))
        except psutil.Error:
            continue
    assert not [command for command in commands if login.password in command]
    logs = list((signed_in.home / "logs").iterdir())
    assert logs
    assert not [file for file in logs if login.password in file.read_text(errors="replace")]


def test_airflow_asks_for_the_password_that_was_made_for_this_home(both: Settings) -> None:
    login = passwords.airflow_login(both)
    assert login is not None
    with pytest.raises(SignInRefused, match="requires a password"):
        Airflow(both.airflow_url).has_dag("flight_delays.train")
    with pytest.raises(SignInRefused, match="refuses the password of 'admin'"):
        Airflow(both.airflow_url, login._replace(password="wrong")).has_dag("flight_delays.train")
    assert not Airflow(both.airflow_url, login).has_dag("no_such_dag")
    assert login.file.stat().st_mode & 0o777 == 0o600
    assert passwords.airflow_login(both) == login
    assert (both.home / "airflow" / "secret").stat().st_mode & 0o777 == 0o600
    for log in (both.home / "logs").iterdir():
        assert login.password not in log.read_text(errors="replace")


def test_down_leaves_nothing_after_a_crash(both: Settings) -> None:
    healthy = {state.service: state.pid for state in local.status(both) if state.healthy}
    assert set(healthy) == {"mlflow", "airflow-api"}

    # MLflow dies without a word, its children live on, and the records are lost.
    mlflow_server = psutil.Process(healthy["mlflow"])
    children = mlflow_server.children(recursive=True)
    os.kill(mlflow_server.pid, signal.SIGKILL)
    for record in (both.home / "run").glob("*.json"):
        record.unlink()
    assert any(child.is_running() for child in children)
    down = [sys.executable, "-m", "muster_local", "down"]
    first = subprocess.run(down, env=environment(both), capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert list(process.processes_of_home(both.home.resolve())) == []
    again = subprocess.run(down, env=environment(both), capture_output=True, text=True)
    assert again.stdout == "Nothing was running.\n"
