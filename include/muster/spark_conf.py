"""What any Spark needs to run Muster's jobs: Delta's jars and configuration. Imports no Spark."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DELTA_VERSION = "4.4.0"
DELTA_ARTIFACTS = ("delta-spark_4.2_2.13", "delta-storage", "delta-kernel-api", "delta-kernel-defaults")
"""Of `io.delta`: all that Delta needs beside what Spark brings."""


def jars(home: Path) -> list[Path]:
    """Return where a home keeps Delta's jars, fetched or not."""
    return [home / "jars" / f"io.delta_{artifact}-{DELTA_VERSION}.jar" for artifact in DELTA_ARTIFACTS]


def spark_home() -> Path:
    """Return the folder of pip's pyspark without importing it.

    Raises:
        ModuleNotFoundError: also where there is only pyspark-client, which has no Spark to start.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None or not Path(spec.origin).with_name("bin").is_dir():
        raise ModuleNotFoundError("pyspark with a Spark of its own is not installed; install muster[spark]")
    return Path(spec.origin).parent


def delta_configuration(home: Path, cores: int) -> dict[str, str]:
    """Return the configuration for Delta and UTC, on a server or a cluster of about so many `cores`.

    The jars are those of the home where it has them; elsewhere Spark resolves them from Maven Central when it starts.
    """
    local_jars = [str(jar) for jar in jars(home) if jar.exists()]
    packages = f"io.delta:{DELTA_ARTIFACTS[0]}:{DELTA_VERSION}"
    return {
        **(
            {"spark.jars": ",".join(local_jars)}
            if len(local_jars) == len(DELTA_ARTIFACTS)
            else {"spark.jars.packages": packages}
        ),
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.ui.showConsoleProgress": "false",
        # Delta's default of 50 makes every small write slow on few cores.
        "spark.databricks.delta.snapshotPartitions": "1",
    }
