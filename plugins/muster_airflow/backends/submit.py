"""`spark-submit` to a cluster, in client mode: the driver runs here, so that it ends with its task.

The Airflow connection `spark_default` names the master, and in its extra `conf` (a mapping), `jars` (a list), `ui`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from muster.settings import settings
from muster.settings.connections import PREFIX
from muster.spark_conf import (
    LOG_STORE_SETTINGS,
    delta_settings,
    delta_sources,
    items,
    log_store_jar,
    merged,
    on_s3,
    s3_sources,
    spark_home,
    store_configuration,
)
from muster_airflow.backends.code import job_file, packed_code
from muster_airflow.backends.command import Command
from muster_airflow.backends.local import LocalBackend
from muster_airflow.backends.protocol import JobCall
from muster_airflow.exceptions import ConnectionRefused, NoLogStore

CONN_ID = "spark_default"
RULE = 'give it a master: {"conn_type": "spark", "host": "spark://master", "port": 7077}, or "local[2]", "yarn", "k8s://https://..."'
MASTER = re.compile(r"^(local(\[[\d*,]+\])?|yarn|spark://[^/]+:\d+|k8s://.+)$")

FROM = ("spark.jars", "spark.jars.packages")
"""Where jars come from: files, or names that Spark resolves."""
OF_EXECUTORS = (
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"),
)
"""Variables by which an executor's Python reads sources, features and models, and writes shards."""
REDACTION, REDACTED = "spark.redaction.regex", "(?i)secret|password|token|access[.]?key"
"""Which settings Spark's pages and logs do not show the values of, by their names; and those of Spark itself."""
DELTA = re.compile(r"delta-(spark|core)_[^/]*$")
"""A file's or package's name that brings Delta itself, of whichever version."""
CONNECTOR = re.compile(r"hadoop-aws[^/]*$")
"""One that brings the connector for S3."""


class SubmitBackend(LocalBackend):
    """Submits a job, with Muster's own code for the executors."""

    name = "submit"

    def command(self, call: JobCall, result: str) -> Command:
        """Return the command that submits a job."""
        try:
            connection = BaseHook.get_connection(CONN_ID)
        except AirflowNotFoundException:
            raise ConnectionRefused(CONN_ID, "does not exist or cannot be read", RULE) from None
        extra = connection.extra_dejson
        if extra.get("deploy-mode", "client") != "client":
            rule = "only 'client' ends with its task: leave it out"
            raise ConnectionRefused(CONN_ID, f"asks for the deploy mode '{extra['deploy-mode']}'", rule)
        properties = for_executors(configuration(extra), master(connection), call.environment)
        code = [str(packed_code(settings().home / "code")), *items(properties.pop("spark.submit.pyFiles", ""))]
        name = f"{call.stage} {Path(call.workload).stem} {call.partition or ''}".strip()
        # As `python -P` does it: the folder of our own job's file is not put on the path.
        safe = {} if call.job else {"PYTHONSAFEPATH": "1"}
        return Command(
            [
                str(spark_home() / "bin" / "spark-submit"),
                *("--master", master(connection), "--name", name),
                *("--py-files", ",".join(code)),
                *(call.job or job_file(call.stage), *call.arguments, "--result", result),
            ],
            {"PYSPARK_PYTHON": sys.executable, **safe},
            properties,
            spark_ui=extra.get("ui", ""),
        )


def master(connection: Connection) -> str:
    """Return the master's address.

    Raises:
        ConnectionRefused: where the connection names none: Airflow's own operator would then take YARN in silence.
    """
    host, port = connection.host or "", f":{connection.port}" if connection.port else ""
    if connection.conn_type == "spark" and host and port and "://" not in host:
        host = f"spark://{host}"
    address = f"{host}{port}"
    if connection.conn_type != "spark" or not MASTER.match(address):
        problem = f"has the type '{connection.conn_type}' and the host '{host}', which is no Spark master"
        raise ConnectionRefused(CONN_ID, problem, RULE)
    return address


def configuration(extra: Mapping[str, Any]) -> dict[str, str]:
    """Return the Spark configuration: Delta's, a log that people can read, then the connection's own.

    A list of the connection's stands beside Muster's and does not take its place, unless it brings a Delta, or a
    connector, of its own.
    """
    home, root = settings().home.resolve(), settings().store_root
    theirs = {"spark.log.level": "WARN"} | {name: str(value) for name, value in extra.get("conf", {}).items()}
    if jars := [*items(extra.get("jars")), *items(theirs.get("spark.jars"))]:
        theirs["spark.jars"] = ",".join(jars)
    brought = [item for name in FROM for item in items(theirs.get(name))]
    ours = [delta_settings(settings().spark_cores), {} if any(map(DELTA.search, brought)) else delta_sources(home)]
    if on_s3(root):
        ours += [{} if any(map(CONNECTOR.search, brought)) else s3_sources(home), store_configuration(root, os.environ)]
        if not LOG_STORE_SETTINGS.keys() <= theirs.keys():
            ours.append(_log_store(home))
    return merged(*ours, theirs)


def for_executors(configuration: Mapping[str, str], master: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return a configuration by which executors know databases, buckets, catalogs, and Spark's pages do not show how.

    Of the last two wherever the store is: a source may be there. On this machine executors have the job's environment.
    """
    addresses = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    addresses |= {name: os.environ[name] for name in OF_EXECUTORS if name in os.environ}
    if not addresses or master.startswith("local"):
        return dict(configuration)
    secret = configuration.get(REDACTION, REDACTED)
    of_executors = {f"spark.executorEnv.{name}": value for name, value in addresses.items()}
    return {**configuration, **of_executors, REDACTION: f"(?:{secret})|{PREFIX}|AWS_|DATABRICKS_"}


def _log_store(home: Path) -> dict[str, str]:
    """Return what brings Delta a log on S3 that refuses the second of two commits.

    Raises:
        NoLogStore: where the home has none. Delta's own would lose commits without a word.
    """
    jar = log_store_jar(home)
    if not jar.exists():
        raise NoLogStore(jar)
    return {"spark.jars": str(jar), **LOG_STORE_SETTINGS}
