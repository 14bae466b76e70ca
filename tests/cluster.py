"""A real standalone cluster on loopback: a master and a worker of two cores, from the pinned pyspark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster.settings import Settings
from muster_local import process
from muster_local.environment import environment
from muster_local.jars import ensure_jars, spark_home
from muster_local.ports import accepts_connections, free_ports
from muster_local.service import get

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    settings: Settings
    master: str
    ui: str

    def state(self) -> dict[str, Any]:
        """Return what the master tells: its workers, active and completed applications."""
        answer = get(f"{self.ui}/json/")
        # While it starts, the master answers every address with its front page.
        is_json = answer is not None and "json" in answer.headers.get("Content-Type", "")
        state: dict[str, Any] = answer.json() if answer is not None and is_json else {}
        return state

    def applications(self) -> list[str]:
        """Return the names of the applications that run now."""
        return [application["name"] for application in self.state().get("activeapps", [])]

    def stop(self) -> None:
        """End every process of the cluster."""
        process.stop(self.settings.home.resolve())


def start(settings: Settings) -> Cluster:
    """Start a master and a worker in the settings' home, and wait until the worker is registered."""
    home = settings.home.resolve()
    env = environment(settings)
    ensure_jars(home, env)
    port, ui, of_worker, of_worker_ui = free_ports(4)
    cluster = Cluster(settings, f"spark://{HOST}:{port}", f"http://{HOST}:{ui}")
    launcher = str(spark_home() / "bin" / "spark-class")
    listen = ["--host", HOST, "--port", str(port), "--webui-port", str(ui)]
    master = [launcher, "org.apache.spark.deploy.master.Master", *listen]
    process.start("master", master, home=home, env=env)
    _until(lambda: accepts_connections(HOST, port))
    ports = ["--port", str(of_worker), "--webui-port", str(of_worker_ui)]
    size = ["--cores", "2", "--memory", "2g", "--work-dir", str(home / "worker")]
    worker = [launcher, "org.apache.spark.deploy.worker.Worker", "--host", HOST, *ports, *size, cluster.master]
    process.start("worker", worker, home=home, env=env)
    _until(lambda: cluster.state().get("aliveworkers") == 1)
    return cluster


def _until(ready: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "the cluster did not start in time"
        time.sleep(0.2)


def connection(cluster: Cluster, scratch: Path, executors: int) -> dict[str, Any]:
    """Return the Airflow connection `spark_default` of the cluster, whose executors have one core each."""
    conf = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": "1g",
        "spark.executor.cores": "1",
        "spark.executor.memory": "700m",
        "spark.cores.max": str(executors),
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
    }
    return {"conn_type": "spark", "host": cluster.master, "extra": {"conf": conf, "ui": cluster.ui}}
