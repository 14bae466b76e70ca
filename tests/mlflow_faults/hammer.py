"""Many processes that call MLflow as fast as the budget lets them, one class of call after another.

    python -m tests.mlflow_faults.hammer PROCESSES SECONDS [CLASS ...]

It prints the calls that were answered. The server and the budget are those of the settings.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import Any

from muster.mlflow.budget import muster_errors
from muster.mlflow.client import connect
from muster.settings import settings
from muster.settings.limits import CLASSES

NAME, API = "hammered", "/api/2.0/mlflow"


def made_ready() -> str:
    """Make what the calls are about; return the run's id."""
    from mlflow.exceptions import MlflowException

    client = connect()
    try:
        client.create_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run_id: str = client.create_run("0").info.run_id
    return run_id


def calls(run_id: str) -> dict[str, Callable[[], Any]]:
    """Return a cheap call of each class, as MLflow's client sends it: the budget is measured, not the server."""
    from mlflow.utils.rest_utils import MlflowHostCreds, http_request

    client, server = connect(), MlflowHostCreds(settings().mlflow_tracking_uri)
    return {
        "search": lambda: client.search_registered_models(max_results=1),
        "log_batch": lambda: http_request(server, f"{API}/runs/log-batch", "POST", json={"run_id": run_id}),
        "registry": lambda: client.get_registered_model(NAME),
        "rest": lambda: http_request(server, "/health", "GET"),
    }


def hammer(run_id: str, phases: list[tuple[str, float]], answered: Any) -> None:
    """Call one class after another, each until its moment."""
    todo = calls(run_id)
    done = 0
    with muster_errors():
        for call_class, until in phases:
            while time.time() < until:
                todo[call_class]()
                done += 1
    answered.put(done)


def main(processes: int, seconds: float, classes: list[str]) -> None:
    run_id = made_ready()
    begin, each = time.time() + 1, seconds / len(classes)
    phases = [(call_class, begin + each * (number + 1)) for number, call_class in enumerate(classes)]
    forked = multiprocessing.get_context("fork")  # importing MLflow takes seconds, which children need not spend again
    answered = forked.Queue()
    children = [forked.Process(target=hammer, args=(run_id, phases, answered)) for _ in range(processes)]
    for child in children:
        child.start()
    counts = [answered.get(timeout=seconds + 120) for _ in children]
    for child in children:
        child.join()
    sys.stdout.write(f"{sum(counts)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:] or list(CLASSES))
