"""The local Spark Connect server: warm for all jobs, with Delta, on loopback unless configured otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from muster.settings import Settings
from muster.spark_conf import (
    LOG_STORE_SETTINGS,
    delta_settings,
    log_store_jar,
    on_s3,
    spark_home,
    store_configuration,
)
from muster_local import spark_page
from muster_local.errors import StackError
from muster_local.jars import all_jars, ensure_jars
from muster_local.known_hosts import known_hosts
from muster_local.log_store import ensure_log_store
from muster_local.ports import Port, accepts_connections
from muster_local.service import Part, Service, get


class NoConnector(StackError):
    """Raised when the local Spark has nothing by which to reach the store."""

    def __init__(self, root: str) -> None:
        super().__init__(
            f"the local Spark cannot reach MUSTER_STORE '{root}': it has connectors for a folder and for s3:// only. "
            "A Spark of one's own may have another: see docs/stores.md"
        )


def confs(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """Return the server's configuration."""
    home, root = settings.home.resolve(), settings.store_root
    on_its_way = {"spark.hadoop.fs.s3a.buffer.dir": str(home / "spark" / "local" / "s3")}
    return {
        **delta_settings(settings.spark_cores),
        **(store_configuration(root, env) | LOG_STORE_SETTINGS | on_its_way if on_s3(root) else {}),
        "spark.jars": ",".join(map(str, _jars(settings))),
        **spark_page.confs(known_hosts(settings)),
        "spark.connect.grpc.binding.address": settings.spark_address,
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        # Work whose client died without closing (SIGKILL, a lost host) ends after this.
        "spark.connect.execute.manager.detachedTimeout": "20s",
        "spark.connect.execute.manager.maintenanceInterval": "10s",
        "spark.connect.execute.reattachable.senderMaxStreamDuration": "20s",
        "spark.connect.session.manager.defaultSessionTimeout": "24h",
        "spark.driver.bindAddress": settings.spark_address,
        "spark.driver.host": settings.spark_address,
        "spark.driver.memory": settings.spark_memory,
        "spark.local.dir": str(home / "spark" / "local"),
        "spark.port.maxRetries": "0",
        # A pool a workload, which its jobs name: a small one does not wait behind a large one.
        "spark.scheduler.mode": "FAIR",
        "spark.python.daemon.module": "muster_jobs.worker_daemon",
        "spark.sql.warehouse.dir": str(home / "spark" / "warehouse"),
        "spark.ui.port": str(settings.spark_ui_port),
    }


def _jars(settings: Settings) -> list[Path]:
    """Return the jars of the server, which its preparation sees to."""
    home, root = settings.home.resolve(), settings.store_root
    return [*all_jars(home, root), *([log_store_jar(home)] if on_s3(root) else [])]


def part(settings: Settings, env: Mapping[str, str]) -> Part:
    """Describe the Spark Connect server, which needs its jars first."""
    home = settings.home.resolve()
    url = f"http://{settings.spark_address}:{settings.spark_ui_port}"
    command = [
        str(spark_home() / "bin" / "spark-submit"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--master", f"local[{settings.spark_cores}]", "--name", "muster"),
        *(part for key, value in confs(settings, env).items() for part in ("--conf", f"{key}={value}")),
        "spark-internal",
    ]
    server = Service(
        "spark",
        "Spark Connect",
        command,
        healthy=lambda: (
            accepts_connections(settings.spark_address, settings.spark_port)
            and get(f"{url}/api/v1/version") is not None
        ),
        ports=[
            Port(settings.spark_port, "MUSTER_SPARK_PORT", settings.spark_address),
            Port(settings.spark_ui_port, "MUSTER_SPARK_UI_PORT", settings.spark_address),
        ],
        url=url,
        env=spark_page.class_path(home, env),
    )

    def prepare() -> None:
        if "://" in settings.store_root and not on_s3(settings.store_root):
            raise NoConnector(settings.store_root)
        shutil.rmtree(home / "spark" / "local", ignore_errors=True)  # what a server that was killed has left
        ensure_jars(home, env, settings.store_root)
        if on_s3(settings.store_root):
            ensure_log_store(home, env)
        spark_page.compile_filter(home, env)

    return Part("spark", [server], prepare)
