"""The local MLflow server: one worker, SQLite, artifacts through the server."""

from __future__ import annotations

import sys

from muster.settings import Settings
from muster.stack.ports import Port
from muster.stack.service import Part, Service, get


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
    ]
    server = Service(
        "mlflow",
        "MLflow",
        command,
        healthy=lambda: get(f"{url}/health") is not None,
        ports=[Port(settings.mlflow_port, "MUSTER_MLFLOW_PORT")],
        url=url,
    )
    return Part("mlflow", [server], prepare=lambda: folder.mkdir(parents=True, exist_ok=True))
