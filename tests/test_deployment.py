"""docker-compose.yaml, Dockerfile and .env.example, as far as they can be checked without a container engine."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from muster.settings import Settings
from muster_local import PROJECT

COMPOSE = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE = (PROJECT / ".env.example").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("muster:")}
AIRFLOW = {"airflow-api": "api-server", "airflow-scheduler": "scheduler", "airflow-dags": "dag-processor"}
AIRFLOW["airflow-triggerer"] = "triggerer"


def environment(service: str) -> dict[str, str]:
    return SERVICES[service].get("environment", {})


def test_services_are_those_of_the_system() -> None:
    assert set(SERVICES) == {"postgres", "mlflow", "spark", "airflow-migrate", *AIRFLOW}


@pytest.mark.parametrize(("service", "component"), AIRFLOW.items())
def test_each_airflow_component_runs_after_the_migration(service: str, component: str) -> None:
    assert SERVICES[service]["command"] == ["airflow", component]
    assert SERVICES[service]["depends_on"]["airflow-migrate"] == {"condition": "service_completed_successfully"}


def test_airflow_keeps_its_metadata_in_postgres() -> None:
    assert environment("airflow-scheduler")["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("postgresql+psycopg2://")
    assert environment("airflow-scheduler")["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


def test_components_share_one_configuration() -> None:
    own = environment("airflow-migrate").keys() - environment("airflow-api").keys()
    assert own == {"AIRFLOW_ADMIN_PASSWORD"}
    shared = {name: value for name, value in environment("airflow-migrate").items() if name not in own}
    assert all(environment(service) == shared for service in AIRFLOW)


def test_who_reads_and_writes_the_store_is_told_where_it_is_and_nobody_else() -> None:
    told = {name for name, service in SERVICES.items() if service.get("env_file")}
    assert told == {"spark", *AIRFLOW}
    assert all(SERVICES[name]["env_file"] == [{"path": "stores.env", "required": False}] for name in told)
    assert not any(environment(name).keys() & {"MUSTER_STORE"} for name in told)  # which would win over the file
    for ignored in (".gitignore", ".dockerignore"):
        assert "stores.env" in (PROJECT / ignored).read_text(encoding="utf-8").split()


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_spark_connect_which_knows_no_sign_on_is_not_published() -> None:
    assert not [port for port in SERVICES["spark"]["ports"] if "15002" in port]


def test_no_secret_has_a_default() -> None:
    named = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|ADMIN)\w*)(\S*?)[ }]", COMPOSE)
    assert {name for name, _ in named} == {
        *("POSTGRES_PASSWORD", "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_FERNET_KEY", "AIRFLOW_ADMIN"),
        *("AIRFLOW_ADMIN_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY"),
    }
    assert all(rule.startswith(":?") for _, rule in named)


def test_no_secret_is_written_down() -> None:
    secrets = {
        name: value
        for service in SERVICES
        for name, value in environment(service).items()
        if re.search(r"PASSWORD$|SECRET|FERNET", name)
    }
    assert secrets
    assert all(value.startswith("${") for value in secrets.values())


def test_mlflow_asks_for_a_password_and_remembers_a_right_one() -> None:
    assert "--app-name basic-auth" in SERVICES["mlflow"]["command"]
    path = environment("mlflow")["MLFLOW_AUTH_CONFIG_PATH"].removeprefix("/opt/muster/project/")
    config = configparser.ConfigParser()
    config.read(PROJECT / path)
    assert "admin_password" not in config["mlflow"]
    assert config["mlflow"].getint("auth_cache_ttl_seconds") == 60
    # Not below what the server hands out as artifacts.
    assert not config["mlflow"]["database_uri"].startswith("sqlite:////var/lib/muster/mlflow/")


def test_jobs_sign_in_to_mlflow_by_airflows_connection() -> None:
    connection = json.loads(environment("airflow-scheduler")["AIRFLOW_CONN_MLFLOW_DEFAULT"])
    assert [connection[name] for name in ("conn_type", "host", "port", "login")] == [
        *("mlflow", "http://mlflow", 5000, "admin"),
    ]
    assert connection["password"].startswith("${MLFLOW_ADMIN_PASSWORD:?")


def test_airflows_password_is_written_before_it_starts_and_for_its_own_eyes_only(tmp_path: Path) -> None:
    command = SERVICES["airflow-migrate"]["command"]
    assert command == ["sh", "-c", "airflow db migrate && python docker/airflow_password.py"]
    file = tmp_path / "passwords.json"
    file.write_text("{}")
    shared = {"SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(file), "SIMPLE_AUTH_MANAGER_USERS": "ann:admin"}
    env = {f"AIRFLOW__CORE__{name}": value for name, value in shared.items()}
    script = [sys.executable, str(PROJECT / "docker" / "airflow_password.py")]
    subprocess.run(script, env=env | {"AIRFLOW_ADMIN_PASSWORD": "made up"}, check=True)
    assert json.loads(file.read_text()) == {"ann": "made up"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_images_are_pinned() -> None:
    images = {service["image"] for service in SERVICES.values()} | set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert all(re.search(r":\d+\.\d+", image) for image in images)


def test_dockerfile_ends_as_another_user_than_root_and_installs_the_lock() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["muster"]
    assert "--require-hashes --requirement requirements.txt" in DOCKERFILE


def test_image_has_no_launcher_so_that_messages_name_the_command_that_is_there() -> None:
    assert "muster" in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("service", OURS)
def test_containers_have_no_capabilities_and_gain_none(service: str) -> None:
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", OURS)
def test_every_service_sees_the_one_store(service: str) -> None:
    assert SERVICES[service]["volumes"] == ["data:/var/lib/muster"]
    assert "MUSTER_STORE=/var/lib/muster/store" in DOCKERFILE


def test_mlflow_answers_to_named_hosts_only() -> None:
    assert re.search(r"--allowed-hosts \$\{MLFLOW_ALLOWED_HOSTS:-mlflow:5000,", COMPOSE)


def test_what_compose_requires_stands_empty_in_the_example() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert {name for name, value in dotenv_values(PROJECT / ".env.example").items() if value == ""} == required


def test_example_names_every_setting_with_its_default() -> None:
    told = dict(re.findall(r"^# MUSTER_(\w+)=(\{.*?\}|[^ \n]*)", EXAMPLE, re.M))
    sections = {name: json.loads(told.pop(name)) for name in ("MLFLOW_BUDGET", "MLFLOW_WAITING")}
    settings = Settings(_env_file=None)
    for name, section in sections.items():
        assert section.items() <= getattr(settings, name.lower()).model_dump().items()
    below = {"home": ".muster", "workloads": "include/workloads"}
    # A process is given its share of the budget by the one that starts it.
    names = Settings.model_fields.keys() - {"mlflow_budget", "mlflow_waiting", "mlflow_share"}
    expected = {name.upper(): below.get(name, str(getattr(settings, name))) for name in names}
    assert {
        name: value for name, value in told.items() if name not in ("PUBLIC_URL", "CONNECTION_ORDERS_DB")
    } == expected
