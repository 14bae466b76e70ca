"""The call budget: eight processes that call MLflow as fast as they may, counted where the server would count."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.mlflow_server import mlflow_server
from muster.settings import PROJECT, Settings
from muster.settings.limits import CLASSES, CallRates
from tests.mlflow_faults.running import proxy
from tests.mlflow_faults.windows import busiest_second, used

PROCESSES = 8


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Hammer an MLflow server of its own through a counting proxy: a quarter of the time for each class of call."""
    seconds = 12 if quick else 60
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as scratch, mlflow_server(settings) as own:
        times = _hammered(own, Path(scratch), seconds)
    return [figure for name in CLASSES for figure in _figures(name, times[name], seconds / len(CLASSES))]


def _hammered(own: Settings, scratch: Path, seconds: float) -> dict[str, list[float]]:
    with proxy(own.mlflow_tracking_uri, scratch) as counting:
        through = own.model_copy(update={"mlflow_uri": counting.uri, "mlflow_budget": CallRates(), "mlflow_share": 1.0})
        command = [sys.executable, "-m", "tests.mlflow_faults.hammer", str(PROCESSES), str(seconds)]
        environment = os.environ | through.environment() | {"PYTHONPATH": str(PROJECT)}
        subprocess.run(command, env=environment, cwd=PROJECT, check=True, stdout=sys.stderr)
        return counting.times(without="create")


def _figures(name: str, times: list[float], seconds: float) -> list[Figure]:
    figure = getattr(CallRates(), name)
    detail = f"{len(times)} calls of {PROCESSES} processes in {seconds:g} s; the budget is {figure:g} a second"
    most = busiest_second(times)
    return [
        Figure(f"{name}: calls in the busiest second of all", most, "calls", at_most=figure, detail=detail),
        Figure(f"{name}: share of the budget that is used", used(times, figure), "share", at_least=0.9),
    ]
