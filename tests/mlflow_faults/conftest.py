"""A real MLflow server behind the proxy, and settings that name it, with short pauses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from muster.settings import settings
from muster_local import PROJECT
from tests.mlflow_faults.forked import run_module
from tests.mlflow_faults.plan import Plan
from tests.mlflow_faults.running import RunningProxy, proxy
from tests.promotion.conftest import Line

WAITING = {
    "patience": 20,
    "patience_spark": 20,
    "first_pause": 0.02,
    "longest_pause": 0.1,
    "recovery": 1,
    "lost_answer": 0.3,
    "pending": 20,
}
GENEROUS = {"search": 60, "log_batch": 60, "registry": 60, "rest": 120}


@pytest.fixture(scope="session")
def faults(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """A proxy before the session's MLflow server."""
    with proxy(mlflow_server, tmp_path_factory.mktemp("proxy")) as running:
        yield running


@dataclass(frozen=True)
class Processes:
    """Processes that share a home, and so a budget."""

    home: Path
    uri: str

    def environment(self, budget: Mapping[str, float], **waiting: float) -> dict[str, str]:
        own = {
            "MUSTER_HOME": str(self.home),
            "MUSTER_MLFLOW_URI": self.uri,
            "MUSTER_MLFLOW_BUDGET": json.dumps(dict(budget)),
            "MUSTER_MLFLOW_WAITING": json.dumps(WAITING | waiting),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
            "PYTHONPATH": str(PROJECT),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
        return kept | own

    def hammer(
        self, processes: int, seconds: float, budget: Mapping[str, float], *classes: str, **waiting: float
    ) -> int:
        """Let processes call as fast as the budget lets them; return the calls that were answered."""
        environment = self.environment(budget, **waiting) | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
        arguments, output = [str(processes), str(seconds), *classes], self.home.with_name("hammered.txt")
        assert run_module("tests.mlflow_faults.hammer", arguments, environment, output) == 0, output.read_text()
        return int(output.read_text().split()[-1])


@pytest.fixture
def processes(faults: RunningProxy, tmp_path: Path) -> Processes:
    faults.follow(Plan())
    return Processes(tmp_path / "home", faults.uri)


@pytest.fixture
def follow(
    faults: RunningProxy, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Plan], RunningProxy]]:
    """Let this process call MLflow through the proxy; return how to give it a plan."""
    for name, value in processes.environment(GENEROUS).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()

    def follow_plan(plan: Plan) -> RunningProxy:
        faults.follow(plan)
        return faults

    yield follow_plan
    faults.follow(Plan())
    settings.cache_clear()


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A workload with tables of its own."""
    return Line(tmp_path)
