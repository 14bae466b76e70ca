"""Spark's page, for requests by this machine's own names only: it has no password, and can stop any job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from muster_local.java_classes import compile_class, spark_jars

SOURCE = Path(__file__).with_name("KnownHosts.java")


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
    compile_class("spark-page", SOURCE, classes, spark_jars("jakarta.servlet-api"), home, env)


def _classes(home: Path) -> Path:
    return home / "spark" / f"page-{sha256(SOURCE.read_bytes()).hexdigest()[:8]}"
