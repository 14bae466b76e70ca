"""Spark's page, for requests by this machine's own names only: it has no password, and can stop any job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from muster.spark_conf import spark_home
from muster_local import process

SOURCE = Path(__file__).with_name("KnownHosts.java")
COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"
"""Of Janino, by which Spark itself compiles queries: a Java without a compiler of its own is enough."""


def confs(hosts: Sequence[str]) -> dict[str, str]:
    """Return the configuration by which Spark's page answers to `hosts` only."""
    return {
        "spark.muster.KnownHosts.param.hosts": ",".join(hosts),
        "spark.ui.filters": "muster.KnownHosts",
    }


def class_path(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variable by which Spark finds the filter, after its own jars and what stands there already.

    Before them, as `spark.driver.extraClassPath` is, Java would use no archive of Spark's classes (class-data sharing).
    """
    name = "SPARK_DIST_CLASSPATH"
    return {name: os.pathsep.join(filter(None, [env.get(name), str(_classes(home))]))}


def compile_filter(home: Path, env: Mapping[str, str]) -> None:
    """Compile the filter, once a home and text of it."""
    classes = _classes(home)
    if (classes / "muster" / "KnownHosts.class").exists():
        return
    java, jars = Path(env["JAVA_HOME"], "bin", "java"), spark_home() / "jars"
    compiler = os.pathsep.join(
        str(jar) for name in ("janino", "commons-compiler") for jar in jars.glob(f"{name}-*.jar")
    )
    [servlets] = jars.glob("jakarta.servlet-api-*.jar")
    options = ["-d", str(classes), "-classpath", str(servlets), str(SOURCE)]
    process.run("spark-page", [str(java), "-cp", compiler, COMPILER, *options], home=home, env=env)


def _classes(home: Path) -> Path:
    return home / "spark" / f"page-{sha256(SOURCE.read_bytes()).hexdigest()[:8]}"
