"""The local Airflow: four components, SQLite and LocalExecutor, tuned for a small machine."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from muster.settings import PROJECT, Settings
from muster.stack.ports import Port
from muster.stack.service import Part, Service, get

COMPONENTS = {
    "airflow-api": (["api-server"], "metadatabase"),
    "airflow-scheduler": (["scheduler", "--skip-serve-logs"], "scheduler"),
    "airflow-dags": (["dag-processor"], "dag_processor"),
    "airflow-triggerer": (["triggerer", "--skip-serve-logs"], "triggerer"),
}
"""Service -> Airflow's command, and its name in the health document.

The log servers of scheduler and triggerer listen on every interface and cannot be told otherwise; on one machine the
api-server reads the log files themselves.
"""


def part(settings: Settings, migrate: Callable[[], None]) -> Part:
    """Describe Airflow's components, which need the database first."""
    home = settings.home.resolve()
    ports = {"airflow-api": [Port(settings.airflow_port, "MUSTER_AIRFLOW_PORT")]}
    services = [
        Service(
            name,
            f"Airflow's {command[0]}",
            [str(Path(sys.executable).with_name("airflow")), *command],
            healthy=lambda component=component: _healthy(settings, component),  # type: ignore[misc]
            ports=ports.get(name, ()),
            url=settings.airflow_url if name == "airflow-api" else "",
        )
        for name, (command, component) in COMPONENTS.items()
    ]

    def prepare() -> None:
        (home / "airflow" / "plugins").mkdir(parents=True, exist_ok=True)
        _secret(home)
        migrate()

    return Part("airflow", services, prepare)


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """Return Airflow's configuration and connections as environment variables."""
    folder = home / "airflow"
    secret = f"cat {shlex.quote(str(_secret_file(home)))}"
    options = {
        "API__HOST": settings.host,
        "API__PORT": settings.airflow_port,
        # Tasks talk to the server by this address; the port alone leaves them on 8080, where they fail.
        "API__BASE_URL": settings.airflow_url,
        "API__SECRET_KEY_CMD": secret,
        "API_AUTH__JWT_SECRET_CMD": secret,
        "CORE__DAGS_FOLDER": PROJECT / "dags",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__PARALLELISM": 4,
        "CORE__PLUGINS_FOLDER": folder / "plugins",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 30,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.25,
        # Without it a cleared task that had succeeded turns green without running.
        "STATE_STORE__CLEAR_ON_SUCCESS": True,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {
        "AIRFLOW_HOME": str(folder),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections(settings).items()},
    }


def connections(settings: Settings) -> dict[str, dict[str, object]]:
    """Return Airflow's connections: JSON, because the URI form of a Spark master is misread."""
    return {
        "spark_connect": {
            "conn_type": "spark_connect",
            "host": f"sc://{settings.host}",
            "port": settings.spark_port,
            "extra": {"ui": f"http://{settings.host}:{settings.spark_ui_port}/connect/"},
        },
        "spark_default": {"conn_type": "spark", "host": f"local[{settings.spark_cores}]"},
    }


def _healthy(settings: Settings, component: str) -> bool:
    answer = get(f"{settings.airflow_url}/api/v2/monitor/health")
    return answer is not None and answer.json().get(component, {}).get("status") == "healthy"


def _secret_file(home: Path) -> Path:
    return home / "airflow" / "secret"


def _secret(home: Path) -> None:
    """Make the key that Airflow's components sign their tokens with, once a home, for this user's eyes only."""
    if not _secret_file(home).exists():
        partial = _secret_file(home).with_suffix(".tmp")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(64))
        partial.replace(_secret_file(home))
