"""Delta's log on S3 as a jar: of two writers of one version it refuses the second, which Delta's own does not."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from muster.spark_conf import LOG_STORE, jars, log_store_jar
from muster_local.java_classes import compile_class, spark_jars

SOURCE = Path(__file__).with_name("ConditionalLogStore.java")


def ensure_log_store(home: Path, env: Mapping[str, str]) -> None:
    """Make the jar, once a home and text of its source, which it holds too; Delta's jars must be there."""
    jar = log_store_jar(home)
    if _source_of(jar) == SOURCE.read_bytes():
        return
    work = jar.with_suffix(".making")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    compile_class("log-store", SOURCE, work, [*jars(home), *spark_jars("hadoop-client-api")], home, env)
    with zipfile.ZipFile(work / jar.name, "w") as file:
        file.write(SOURCE, SOURCE.name)
        file.write(work.joinpath(*LOG_STORE.split(".")).with_suffix(".class"), f"{LOG_STORE.replace('.', '/')}.class")
    (work / jar.name).replace(jar)
    shutil.rmtree(work)


def _source_of(jar: Path) -> bytes:
    """Return the source that a jar was made from, nothing where there is no jar."""
    try:
        with zipfile.ZipFile(jar) as file:
            return file.read(SOURCE.name)
    except (OSError, KeyError, zipfile.BadZipFile):
        return b""
