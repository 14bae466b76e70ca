"""Passwords: made once, seen by this user alone, and asked for only where other machines reach the services."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from muster.mlflow import sign_in
from muster.settings import Settings
from muster.settings import settings as settings_of_process
from muster_local import airflow_services, mlflow_server, passwords, spark_server

OUTSIDE = "192.0.2.7"


def outside(home: Path, **more: object) -> Settings:
    return Settings(_env_file=None, home=home, host=OUTSIDE, mlflow_uri="", **more)


def files(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1"])
def test_there_are_none_where_only_this_machine_reaches_the_services(host: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, host=host)
    passwords.create_passwords(settings)
    assert files(tmp_path) == []
    assert passwords.airflow_login(settings) is sign_in.mlflow_login(settings) is None
    assert "--app-name" not in mlflow_server.part(settings).services[0].command


@pytest.mark.parametrize("host", [OUTSIDE, "0.0.0.0", "muster.example", "2001:db8::1"])
def test_any_other_address_is_exposed_and_spark_stays_inside(host: str) -> None:
    settings = Settings(_env_file=None, host=host)
    assert settings.exposed
    assert (settings.spark_address, settings.spark_exposed) == ("127.0.0.1", False)
    assert Settings(_env_file=None, host=host, spark_host=host).spark_exposed


def test_they_are_made_once_and_for_this_users_eyes_only(tmp_path: Path) -> None:
    settings = outside(tmp_path)
    logins = []
    for _ in range(2):
        passwords.create_passwords(settings)
        logins.append((passwords.airflow_login(settings), sign_in.mlflow_login(settings)))
    assert logins[0] == logins[1]
    assert len({login.password for login in logins[0] if login}) == 2
    assert min(len(login.password) for login in logins[0] if login) >= 32
    assert [file.stat().st_mode & 0o777 for file in files(tmp_path)] == [0o600] * 3


def test_another_home_has_others(tmp_path: Path) -> None:
    homes = [outside(tmp_path / name) for name in "ab"]
    for settings in homes:
        passwords.create_passwords(settings)
    assert sign_in.mlflow_login(homes[0]) != sign_in.mlflow_login(homes[1])


def test_no_command_line_and_no_configuration_of_airflow_holds_one(tmp_path: Path) -> None:
    settings = outside(tmp_path)
    passwords.create_passwords(settings)
    parts = [mlflow_server.part(settings), airflow_services.part(settings, lambda: None)]
    commands = [word for part in parts for service in part.services for word in service.command]
    airflow = airflow_services.environment(settings, tmp_path)
    for login in (passwords.airflow_login(settings), sign_in.mlflow_login(settings)):
        assert login is not None
        assert not [word for word in commands if login.password in word]
    assert airflow["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert airflow["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(tmp_path / "airflow" / "passwords.json")
    assert airflow["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin"


def test_a_process_signs_in_unless_it_was_told_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = outside(tmp_path)
    passwords.create_passwords(settings)
    for name in sign_in.CREDENTIALS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    login = sign_in.mlflow_login(settings)
    assert login is not None
    sign_in.sign_in(settings)
    assert [os.environ.get(name) for name in sign_in.CREDENTIALS] == [login.user, login.password, None]
    for name in sign_in.CREDENTIALS[:2]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "given")
    sign_in.sign_in(settings)
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_another_server_never_gets_the_local_ones_password(tmp_path: Path) -> None:
    passwords.create_passwords(outside(tmp_path))
    elsewhere = Settings(_env_file=None, home=tmp_path, host=OUTSIDE, mlflow_uri="https://mlflow.example")
    assert sign_in.mlflow_login(elsewhere) is None


def test_mlflow_answers_to_the_names_of_its_address_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_SERVER_ALLOWED_HOSTS", raising=False)
    env = mlflow_server.part(outside(tmp_path)).services[0].env
    assert env["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")[:2] == [f"{OUTSIDE}:5000", "localhost:5000"]
    assert env["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")[0] == f"http://{OUTSIDE}:5000"
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "muster.example")
    env = mlflow_server.part(outside(tmp_path)).services[0].env
    assert env["MLFLOW_SERVER_ALLOWED_HOSTS"] == "muster.example"


def test_airflow_refuses_a_name_that_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))  # read when Airflow is imported
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from muster_airflow.plugin import known_hosts_only

    assert known_hosts_only() == []  # an Airflow of one's own
    local = Settings(_env_file=None, home=tmp_path, airflow_port=8680, allowed_hosts="muster.example, *.inside")
    for name, value in airflow_services.environment(local, tmp_path).items():
        monkeypatch.setenv(name, value)
    settings_of_process.cache_clear()
    app = FastAPI()
    for added in known_hosts_only():
        app.add_middleware(added["middleware"], *added["args"], **added["kwargs"])
    app.get("/auth/token")(lambda: "a token")
    with TestClient(app) as client:
        hosts = (
            "127.0.0.1:8680",
            "localhost:8680",
            "muster.example",
            "one.inside",
            "evil.example:8680",
            "",
            "www.localhost",
        )
        answers = {host: client.get("/auth/token", headers={"Host": host}).status_code for host in hosts}
    assert [host for host, code in answers.items() if code == 200] == list(hosts[:4])
    assert {code for code in answers.values()} == {200, 400}


def test_names_that_are_allowed_are_allowed_at_mlflow_and_spark_too(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, allowed_hosts="muster.example")
    assert "muster.example" in spark_server.confs(settings, {})["spark.muster.KnownHosts.param.hosts"].split(",")
    env = mlflow_server.part(settings).services[0].env
    assert {"muster.example", "127.0.0.1:5000"} <= set(env["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))
    assert not mlflow_server.part(Settings(_env_file=None, home=tmp_path)).services[0].env
