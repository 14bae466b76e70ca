"""What every Spark of the tests starts from, made once for an environment: `python -m tests.preparation`.

The jars of Delta and of the connector for S3, and an archive of Spark's classes (Java's class-data sharing, JEP 350),
with which a start takes half the time. A Java that cannot use the archive, of another version or with other jars,
starts as if there were none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from muster.settings import Settings
from muster.spark_conf import spark_home
from muster_local.environment import environment
from muster_local.jars import ensure_jars
from muster_local.log_store import ensure_log_store

HOME = Path(sys.prefix, "tests")
ARCHIVE = HOME / f"spark-{version('pyspark')}.jsa"
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC -Xlog:disable"
"""For all Java of the tests, none of which runs for long enough that the second compiler would pay: it takes two fifths
of the time. Without it Java keeps 48 MB for compiled code, which Spark fills: what is dropped is compiled again.
Java tells of an archive that it cannot use on standard output, which others read: hence no log."""
INTERPRETED = "-Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN"
"""Spark then interprets its plans, where it would write and compile Java for each: a quarter of the time, for tables of
a few rows. The stack that `./muster up` starts is left as users have it."""

PROGRAM = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.range(1000).selectExpr("id % 7 AS key", "id").groupBy("key").count().sort("key").toPandas()
spark.stop()
"""
"""What loads the classes that any use of Spark needs."""


def java_options(*more: str) -> str:
    """Return `JAVA_TOOL_OPTIONS` of the tests."""
    return " ".join([OPTIONS, *([f"-XX:SharedArchiveFile={ARCHIVE}"] if ARCHIVE.exists() else []), *more])


def main() -> None:
    """Fetch the jars and make the archive, each where it is missing; the tests do without what cannot be had."""
    HOME.mkdir(exist_ok=True)
    with FileLock(HOME / "lock"):
        env = environment(Settings(_env_file=None, home=HOME))
        ensure_jars(HOME, env, "s3://")
        ensure_log_store(HOME, env)
        if not ARCHIVE.exists():
            _archive(env)


def _archive(env: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        program, archive = Path(folder, "program.py"), Path(folder, ARCHIVE.name)
        program.write_text(PROGRAM)
        java = {"JAVA_TOOL_OPTIONS": f"{OPTIONS} -XX:ArchiveClassesAtExit={archive}"}
        submit = [str(spark_home() / "bin" / "spark-submit"), "--master", "local[2]", str(program)]
        made = subprocess.run(submit, env=env | java, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode or not archive.exists():
            sys.stderr.write(f"Java starts without an archive of Spark's classes:\n{made.stderr[-2000:]}\n")
        else:
            archive.replace(ARCHIVE)


if __name__ == "__main__":
    main()
