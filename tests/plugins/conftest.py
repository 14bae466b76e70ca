"""Settings that belong to one test; a real cluster; and the tasks of a small workload on each backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muster.freshness import answer as answers
from muster.settings import Settings, settings
from tests import cluster
from tests.plugins.airflow_task import WORKLOAD, declare
from tests.plugins.late_data import Declare
from tests.plugins.line import Line, environment
from tests.shared import Shared


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test's own, which `settings()` tells."""
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """A small workload's YAML file."""
    return declare(tmp_path / "workloads")


@pytest.fixture(scope="session")
def spark_cluster(shared: Shared) -> cluster.Cluster:
    """A real standalone cluster: a master and a worker."""
    own = shared.settings("cluster")

    def started() -> dict[str, str]:
        running = cluster.start(own)
        return {"master": running.master, "ui": running.ui}

    return cluster.Cluster(own, **shared.record("cluster", started))


@pytest.fixture
def connect(spark_connect_server: str, stack_settings: Settings, tmp_path: Path) -> Iterator[Line]:
    """Lines that share one store, and so the server's session for it: each session starts Python workers of its own."""
    connection = json.dumps({"conn_type": "spark_connect", "host": spark_connect_server})
    own = {"MUSTER_STORE": str(stack_settings.home / "connect"), "AIRFLOW_CONN_SPARK_CONNECT": connection}
    line = Line("connect", tmp_path, environment(stack_settings, tmp_path, MUSTER_BACKEND="connect", **own))
    yield line
    line.end()


@pytest.fixture
def submit(spark_cluster: cluster.Cluster, tmp_path: Path) -> Iterator[Line]:
    value = json.dumps(cluster.connection(spark_cluster, tmp_path / "scratch", executors=1))
    env = environment(spark_cluster.settings, tmp_path, MUSTER_BACKEND="submit", AIRFLOW_CONN_SPARK_DEFAULT=value)
    line = Line("submit", tmp_path, env, spark_cluster.applications)
    yield line
    line.end()


@pytest.fixture(params=["connect", "submit"])
def line(request: pytest.FixtureRequest) -> Line:
    """Each of the two backends."""
    of_backend: Line = request.getfixturevalue(request.param)
    return of_backend


@pytest.fixture
def sensor(home: Path, workload: Path) -> Declare:
    """Return a maker of sensors of a workload with these keys of `freshness`."""
    from muster_airflow.sensors.freshness import DataFreshnessSensor

    def make(freshness: str = "", **more: Any) -> DataFreshnessSensor:
        workload.write_text(f"{WORKLOAD}freshness: {{{freshness}}}\n", encoding="utf-8")
        return DataFreshnessSensor(task_id="await_data", workload=str(workload), poke_interval=0.05, **more)

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that has an item for each time that rows are counted."""
    counted: list[int] = []
    count = answers.count_rows_and_groups
    monkeypatch.setattr(answers, "count_rows_and_groups", lambda *args: counted.append(1) or count(*args))
    return counted
