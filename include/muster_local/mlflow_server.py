"""The local MLflow server: one worker, SQLite, artifacts through the server; with a sign-on where others reach it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import psutil

from muster.mlflow.sign_in import mlflow_file
from muster.settings import Settings
from muster_local import passwords
from muster_local.ports import Port
from muster_local.service import Part, Service, get


def part(settings: Settings) -> Part:
    """Describe the MLflow server.

    One worker: with more, each request on a kept connection waits 43 ms for a delayed acknowledgement.
    """
    folder = settings.home.resolve() / "mlflow"
    url = f"http://{settings.host}:{settings.mlflow_port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", settings.host, "--port", str(settings.mlflow_port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *(("--app-name", "basic-auth") if settings.exposed else ()),
    ]
    env = _sign_on(settings) if settings.exposed else {}
    server = Service(
        "mlflow",
        "MLflow",
        command,
        healthy=lambda: get(f"{url}/health") is not None,
        ports=[Port(settings.mlflow_port, "MUSTER_MLFLOW_PORT")],
        url=url,
        env=env,
    )
    return Part("mlflow", [server], prepare=lambda: folder.mkdir(parents=True, exist_ok=True))


def _sign_on(settings: Settings) -> dict[str, str]:
    """Return the settings of who may sign in, and under which names browsers and jobs may reach it.

    Names that the operator gives, in MLflow's own variables, are kept.
    """
    secret = passwords.mlflow_secret(settings)
    hosts = [f"{name}:{settings.mlflow_port}" for name in _names(settings.host)]
    origins = [f"http://{host}" for host in hosts]
    named = {"MLFLOW_SERVER_ALLOWED_HOSTS": hosts, "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins}
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(mlflow_file(settings)),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret.read_text(encoding="utf-8") if secret.exists() else "",
        **{name: os.environ.get(name) or ",".join(values) for name, values in named.items()},
    }


def _names(host: str) -> Iterator[str]:
    """Yield the names that a request may give as its host: all of this machine's where it listens on all."""
    yield from dict.fromkeys([host, "localhost", "127.0.0.1", socket.gethostname()])
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        for addresses in psutil.net_if_addrs().values():
            yield from (item.address for item in addresses if item.family == socket.AF_INET)
