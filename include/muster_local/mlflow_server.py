"""The local MLflow server: one worker, SQLite, artifacts through the server; with a sign-on where others reach it."""

from __future__ import annotations

import os
import sys

from muster.mlflow.sign_in import mlflow_file
from muster.settings import Settings
from muster_local import passwords
from muster_local.known_hosts import known_hosts
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
    # Where nothing else is known, MLflow answers to localhost and private addresses only.
    names = _names(settings) if settings.exposed or settings.host_names else {}
    env = {**names, **(_sign_on(settings) if settings.exposed else {})}
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
    """Return the settings of who may sign in."""
    secret = passwords.mlflow_secret(settings)
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(mlflow_file(settings)),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret.read_text(encoding="utf-8") if secret.exists() else "",
    }


def _names(settings: Settings) -> dict[str, str]:
    """Return under which names browsers and jobs may reach it; what the operator gives in MLflow's own is kept."""
    names = known_hosts(settings)
    hosts = [*(f"{name}:{settings.mlflow_port}" for name in names), *names]
    origins = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    named = {"MLFLOW_SERVER_ALLOWED_HOSTS": hosts, "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins}
    return {name: os.environ.get(name) or ",".join(values) for name, values in named.items()}
