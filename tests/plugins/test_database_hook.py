"""Airflow's connection to a database: which address a job gets of it, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muster_airflow.exceptions import ConnectionRefused
from muster_airflow.hooks.database import database_environment
from tests.plugins.airflow_task import declare

SOURCE = "source: {sql: 'SELECT * FROM rides WHERE at >= :start AND at < :end', connection: orders_db}"
NAME = "MUSTER_CONNECTION_ORDERS_DB"
WHOLE = {"host": "db.example", "port": 5432, "login": "ann", "password": "p@ss/word", "schema": "orders"}


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    file = declare(tmp_path)
    file.write_text(f"{file.read_text()}{SOURCE}\n")
    return file


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"conn_type": "postgres", **WHOLE}, "postgresql://ann:p%40ss%2Fword@db.example:5432/orders"),
        (
            {"conn_type": "postgres", "host": "db", "extra": {"sslmode": "require", "cursor": "dictcursor"}},
            "postgresql://db?sslmode=require",
        ),
        ({"conn_type": "mysql", "host": "db", "extra": {"sqlalchemy_scheme": "mysql+pymysql"}}, "mysql+pymysql://db"),
        ({"conn_type": "mssql", "host": "db", "extra": {"sqlalchemy_scheme": "mssql+pyodbc",
          "sqlalchemy_query": {"driver": "ODBC 18"}}}, "mssql+pyodbc://db?driver=ODBC+18"),
        ({"conn_type": "sqlite", "host": "/data/rides.db"}, "sqlite:////data/rides.db"),
    ],
)  # fmt: skip
def test_a_job_gets_the_address(
    workload: Path, connection: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ORDERS_DB", json.dumps(connection))
    monkeypatch.setenv(NAME, "sqlite:///of-the-environment")
    assert database_environment(workload) == {NAME: url}
    monkeypatch.delenv("AIRFLOW_CONN_ORDERS_DB")
    assert database_environment(workload) == {NAME: "sqlite:///of-the-environment"}
    monkeypatch.delenv(NAME)
    assert database_environment(workload) == {}


def test_what_is_no_database_is_refused(workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ORDERS_DB", json.dumps({"conn_type": "http", "host": "db", "password": "s3cret"}))
    with pytest.raises(
        ConnectionRefused, match="'orders_db' has the type 'http', which is no database's; give"
    ) as error:
        database_environment(workload)
    assert "s3cret" not in str(error.value)


def test_a_workload_of_files_or_that_does_not_hold_has_none(tmp_path: Path, workload: Path) -> None:
    assert database_environment(declare(tmp_path / "other")) == {}
    workload.write_text("keys: [")
    assert database_environment(workload) == {}
