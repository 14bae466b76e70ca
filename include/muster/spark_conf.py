"""What any Spark needs to run Muster's jobs: jars and configuration, for Delta and for the store. Imports no Spark."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

from muster.errors import MusterError

DELTA_VERSION = "4.4.0"
DELTA_ARTIFACTS = ("delta-spark_4.2_2.13", "delta-storage", "delta-kernel-api", "delta-kernel-defaults")
"""Of `io.delta`: all that Delta needs beside what Spark brings."""

HADOOP_VERSION = "3.5.0"
"""Of the Hadoop that Spark 4.2 brings: its connector for S3 is of the same version."""
SDK_VERSION = "2.35.4"
SDK_ARTIFACTS = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client")
"""Of Amazon's SDK: what the connector uses of the bundle that it asks for, which has half a gigabyte."""
S3_PACKAGES = (
    f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}",
    *(f"software.amazon.awssdk:{artifact}:{SDK_VERSION}" for artifact in SDK_ARTIFACTS),
)
S3_EXCLUDES = (
    *("software.amazon.awssdk:bundle", "org.wildfly.openssl:*"),
    # Spark has its own.
    *("io.netty:*", "org.slf4j:*", "org.apache.httpcomponents:*", "commons-codec:*", "commons-logging:*"),
)
LOG_STORE = "muster.ConditionalLogStore"
LOG_STORE_SETTINGS = {f"spark.delta.logStore.{scheme}.impl": LOG_STORE for scheme in ("s3", "s3a")}
"""By them Delta commits with the class of `log_store_jar`."""

LISTS = frozenset({"spark.jars", "spark.jars.packages", "spark.jars.excludes", "spark.sql.extensions"})
"""Settings that hold several names, with commas between them."""


class PlainEndpoint(MusterError):
    """Raised when an object store is to be asked without encryption, and nobody has said that this is meant."""

    def __init__(self, address: str) -> None:
        scheme, _, host = address.partition("://")
        shown = f"{scheme}://{host.rpartition('@')[2]}"  # without a password
        super().__init__(
            f"AWS_ENDPOINT_URL '{shown}' is not encrypted: use https, or set AWS_ALLOW_HTTP=true where that is meant"
        )


def jars(home: Path) -> list[Path]:
    """Return where a home keeps Delta's jars, fetched or not."""
    return [home / "jars" / f"io.delta_{artifact}-{DELTA_VERSION}.jar" for artifact in DELTA_ARTIFACTS]


def s3_jar_folder(home: Path) -> Path:
    """Return where a home keeps the jars of the connector for S3, where the store is there."""
    return home / "jars" / f"s3-{HADOOP_VERSION}-{SDK_VERSION}"


def log_store_jar(home: Path) -> Path:
    """Return where a home keeps the jar of Delta's log on S3."""
    return home / "jars" / f"muster-log-store-{DELTA_VERSION}.jar"


def on_s3(root: str) -> bool:
    """Return whether a store is on S3, or on what speaks its protocol."""
    return root.startswith("s3://")


def spark_home() -> Path:
    """Return the folder of pip's pyspark without importing it.

    Raises:
        ModuleNotFoundError: also where there is only pyspark-client, which has no Spark to start.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None or not Path(spec.origin).with_name("bin").is_dir():
        raise ModuleNotFoundError("pyspark with a Spark of its own is not installed; install muster[spark]")
    return Path(spec.origin).parent


def delta_settings(cores: int) -> dict[str, str]:
    """Return the settings for Delta and UTC, on a server or a cluster of about so many `cores`."""
    return {
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.ui.showConsoleProgress": "false",
        # Delta's default of 50 makes every small write slow on few cores.
        "spark.databricks.delta.snapshotPartitions": "1",
    }


def delta_sources(home: Path) -> dict[str, str]:
    """Return where Spark takes Delta from: the home's jars where it has them, else Maven Central when Spark starts."""
    if all(jar.exists() for jar in jars(home)):
        return {"spark.jars": ",".join(map(str, jars(home)))}
    return {"spark.jars.packages": f"io.delta:{DELTA_ARTIFACTS[0]}:{DELTA_VERSION}"}


def s3_sources(home: Path) -> dict[str, str]:
    """Return where Spark takes the connector for S3 from, in the same way."""
    local_jars = sorted(s3_jar_folder(home).glob("*.jar"))
    if any(jar.name == f"org.apache.hadoop_hadoop-aws-{HADOOP_VERSION}.jar" for jar in local_jars):  # it comes last
        return {"spark.jars": ",".join(map(str, local_jars))}
    return {"spark.jars.packages": ",".join(S3_PACKAGES), "spark.jars.excludes": ",".join(S3_EXCLUDES)}


def store_configuration(root: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return how Spark reaches a store on S3, from the variables that obstore and delta-rs read too; no secrets.

    Keys, where there are any, Hadoop takes from the environment by itself. For other stores there is nothing to say.

    Raises:
        PlainEndpoint: for an address of http without AWS_ALLOW_HTTP, which obstore and delta-rs would refuse as well.
    """
    if not on_s3(root):
        return {}
    options = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        # What is written is new or meant to be written over: nothing is asked for first.
        "fs.s3a.performance.flags": "create,mkdir",
    }
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if endpoint := environ.get("AWS_ENDPOINT_URL"):
        if endpoint.startswith("http://") and environ.get("AWS_ALLOW_HTTP", "").lower() not in ("true", "1"):
            raise PlainEndpoint(endpoint)
        options |= {"fs.s3a.endpoint": endpoint, "fs.s3a.path.style.access": "true"}
        region = region or "us-east-1"
    if region:
        options["fs.s3a.endpoint.region"] = region
    return {f"spark.hadoop.{name}": value for name, value in options.items()}


def merged(*configurations: Mapping[str, str]) -> dict[str, str]:
    """Return one configuration: of a setting the last counts, of lists all names do."""
    result: dict[str, str] = {}
    for configuration in configurations:
        for name, value in configuration.items():
            both = [*items(result.get(name)), *items(value)]
            result[name] = ",".join(dict.fromkeys(both)) if name in LISTS else value
    return result


def items(names: str | Iterable[object] | None) -> list[str]:
    """Return the names of a list, or of a text with commas between them."""
    each = (names or "").split(",") if isinstance(names, str | None) else names
    return [text for name in each if (text := str(name).strip())]
