"""The local Airflow: four components, SQLite and LocalExecutor, tuned for a small machine."""

from __future__ import annotations

import base64
import os
import secrets
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from muster.settings import Settings
from muster_local import PROJECT, passwords
from muster_local.known_hosts import known_hosts
from muster_local.ports import Port
from muster_local.service import Part, Service, get

COMPONENTS = {
    "airflow-api": (["api-server"], "metadatabase"),
    "airflow-scheduler": (["scheduler", "--skip-serve-logs"], "scheduler"),
    "airflow-dags": (["dag-processor"], "dag_processor"),
    "airflow-triggerer": (["triggerer", "--skip-serve-logs"], "triggerer"),
}
"""Service -> Airflow's command, and its name in the health document.

The log servers of scheduler and triggerer listen on every interface and cannot be configured otherwise; on one machine
the api-server reads the log files themselves.
"""


TUNED = {
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 30,
    "DAG_PROCESSOR__REFRESH_INTERVAL": 30,
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
}
"""How often Airflow looks, in seconds; the environment may say otherwise: it takes long to read many workloads."""

NEED_THE_API = ("airflow-scheduler", "airflow-triggerer")
"""They run what waited for them at once, and that talks to the api-server: refused, a task fails with an empty log."""


def part(settings: Settings, database: Callable[[], None]) -> Part:
    """Describe Airflow's components; `database` prepares the database first."""
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
            after="airflow-api" if name in NEED_THE_API else "",
        )
        for name, (command, component) in COMPONENTS.items()
    ]

    def prepare() -> None:
        (home / "airflow" / "plugins").mkdir(parents=True, exist_ok=True)
        passwords.write_once(home / "airflow" / "secret", lambda: secrets.token_hex(64))
        passwords.write_once(
            home / "airflow" / "fernet", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        )
        database()

    return Part("airflow", services, prepare)


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """Return Airflow's configuration as environment variables."""
    folder = home / "airflow"
    secret, fernet = (f"cat {shlex.quote(str(folder / name))}" for name in ("secret", "fernet"))
    options = {
        "API__HOST": settings.host,
        "API__PORT": settings.airflow_port,
        # Tasks talk to the server by this address; the port alone leaves them on 8080, where they fail.
        "API__BASE_URL": settings.airflow_url,
        "API__SECRET_KEY_CMD": secret,
        "API_AUTH__JWT_SECRET_CMD": secret,
        "CORE__DAGS_FOLDER": PROJECT / "dags",
        "CORE__EXECUTOR": "LocalExecutor",
        # Passwords in the database are encrypted with it.
        "CORE__FERNET_KEY_CMD": fernet,
        "CORE__LOAD_EXAMPLES": False,
        "CORE__PARALLELISM": 4,
        "CORE__PLUGINS_FOLDER": folder / "plugins",
        **_sign_on(settings),
        # The Test button of a connection's form: every user is an admin.
        "CORE__TEST_CONNECTION": "Enabled",
        "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "muster_local.airflow_database.CONNECT_ARGS",
        # The api-server's forty threads may need two connections each: of a smaller pool those that have one, and have
        # written, wait for their second, while all others wait for them.
        "DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": 75,
        "DATABASE__SQL_ALCHEMY_SESSION_MAKER": "muster_local.airflow_database.session_maker",
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        # Until a task whose process was killed is tried again, and its DAG takes another partition; 300 unless set.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 90,
        # Without it a cleared task that had succeeded turns green without running.
        "STATE_STORE__CLEAR_ON_SUCCESS": True,
        "USAGE_DATA_COLLECTION__ENABLED": False,
        **{name: os.environ.get(f"AIRFLOW__{name}", seconds) for name, seconds in TUNED.items()},
    }
    return {
        "AIRFLOW_HOME": str(folder),
        "MUSTER_ALLOWED_HOSTS": ",".join(known_hosts(settings)),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
    }


def _sign_on(settings: Settings) -> dict[str, object]:
    """Return who may sign in: anybody on this machine, or one user with this home's own password.

    The password is there before Airflow starts, which would otherwise print one of its own into a log.
    """
    if not settings.exposed:
        return {"CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True}
    return {
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": False,
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{passwords.USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords.airflow_file(settings),
    }


def _healthy(settings: Settings, component: str) -> bool:
    answer = get(f"{settings.airflow_url}/api/v2/monitor/health")
    return answer is not None and answer.json().get(component, {}).get("status") == "healthy"
