"""The environment of every process of the stack, the same for all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from muster.settings import Settings
from muster.settings.connections import connection_variables
from muster.spark_conf import spark_home
from muster_local import airflow_services, java

EXCLUDED_VARIABLES = {"SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "PYTHONDONTWRITEBYTECODE"}
"""Left out of what the services inherit. With the first a Spark server refuses to start; with the second, which
a Connect client leaves behind, no other session can; with the third each short process compiles Muster anew."""


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with all that the services and their jobs need."""
    home = settings.home.resolve()
    return {
        **toolchain(settings),
        **settings.environment(),
        **connection_variables(),  # Spark's workers ask the databases
        **airflow_services.environment(settings, home),
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONUNBUFFERED": "1",
        # Process titles are otherwise written over the environment by which a home's processes are found.
        "SPT_NOENV": "1",
    }


def toolchain(settings: Settings) -> dict[str, str]:
    """Return this process's environment with this Python, Java and Spark found first; Java is installed if need be."""
    return {
        **{name: value for name, value in os.environ.items() if name not in EXCLUDED_VARIABLES},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "JAVA_HOME": str(java.java_home()),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": settings.spark_address,
        "SPARK_NO_DAEMONIZE": "1",
        "PYSPARK_PYTHON": sys.executable,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        **dict.fromkeys(
            ("NO_PROXY", "no_proxy"),
            ",".join(filter(None, [_no_proxy(), settings.host, settings.spark_address, "localhost"])),
        ),
    }


def _no_proxy() -> str:
    return os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
