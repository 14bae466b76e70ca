"""Java of Muster's own, compiled where it is used by Janino, which Spark brings: no JDK is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from muster.spark_conf import spark_home
from muster_local import process

COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"
"""Of Janino, by which Spark itself compiles queries: a Java without a compiler of its own is enough."""


def spark_jars(*names: str) -> list[Path]:
    """Return the jars of Spark that begin with the names."""
    return [jar for name in names for jar in sorted((spark_home() / "jars").glob(f"{name}-[0-9]*.jar"))]


def compile_class(
    name: str, source: Path, into: Path, uses: Iterable[Path], home: Path, env: Mapping[str, str]
) -> None:
    """Compile one source, which uses the given jars, into a folder; the compiler's output is the log `name`."""
    java, compiler = Path(env["JAVA_HOME"], "bin", "java"), _class_path(spark_jars("janino", "commons-compiler"))
    options = ["-d", str(into), "-classpath", _class_path(uses), str(source)]
    process.run(name, [str(java), "-cp", compiler, COMPILER, *options], home=home, env=env)


def _class_path(jars: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, jars))
