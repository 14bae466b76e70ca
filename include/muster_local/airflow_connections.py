"""The local Airflow's connections: in its database, where operators see and edit them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from muster.mlflow.sign_in import mlflow_login
from muster.settings import Settings
from muster_local.passwords import airflow_login


def connections(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the connections that the settings call for, by id."""
    login = mlflow_login(settings)
    credentials = {"login": login.user, "password": login.password} if login else {}
    return {
        "mlflow_default": {
            "conn_type": "mlflow",
            **_with_port(settings.mlflow_tracking_uri),
            **credentials,
            **({"extra": figures} if (figures := settings.mlflow_budget.model_dump(exclude_defaults=True)) else {}),
        },
        "airflow_api": {"conn_type": "airflow_api", **_with_port(settings.airflow_url), **_airflow_login(settings)},
        "spark_connect": {
            "conn_type": "spark_connect",
            "host": f"sc://{settings.spark_address}",
            "port": settings.spark_port,
            "extra": {"ui": f"http://{settings.spark_address}:{settings.spark_ui_port}/connect/"},
        },
        "spark_default": {"conn_type": "spark", "host": f"local[{settings.spark_cores}]"},
    }


def _airflow_login(settings: Settings) -> dict[str, str]:
    login = airflow_login(settings)
    return {"login": login.user, "password": login.password} if login else {}


def _with_port(uri: str) -> dict[str, Any]:
    """Return an address as host and port: the UI's Test button refuses a connection that has no port of its own."""
    parts = urlsplit(uri)
    host = parts._replace(netloc=parts.hostname or "").geturl()
    return {"host": host, "port": parts.port or {"https": 443}.get(parts.scheme, 80)}


def update_connections(settings: Settings, home: Path, airflow: Callable[[list[str]], None]) -> bool:
    """Bring Airflow's database up to the settings: `airflow` runs one of its commands; return whether it had to.

    Only what the settings call for differently than the last time is written, so an operator's edit stays until then.
    """
    file = home / "airflow" / "connections.json"
    current = connections(settings)
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    changed = {name: value for name, value in current.items() if before.get(name) != value}
    if changed:
        part = file.with_suffix(".new.json")  # Airflow takes the format from the suffix
        _write(part, changed)
        airflow(["connections", "import", "--overwrite", str(part)])
        _write(part, current)
        part.replace(file)
    return bool(changed)


def _write(file: Path, value: object) -> None:
    """Write a file for this user's eyes only: connections may hold passwords."""
    with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        json.dump(value, opened)
