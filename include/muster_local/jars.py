"""Jars of Delta and of the connector for S3: fetched once by Spark's own resolver, pinned by digest.

From then on they are used without the network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from muster.spark_conf import DELTA_VERSION, S3_EXCLUDES, S3_PACKAGES, jars, on_s3, s3_jar_folder, spark_home
from muster_local import process
from muster_local.errors import JarMismatch

DELTA_DIGESTS = {
    "delta-spark_4.2_2.13": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "delta-storage": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    "delta-kernel-api": "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11",
    "delta-kernel-defaults": "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
}
"""Artifact of `io.delta` -> sha256 of its jar."""

OTHERS = ("com.*", "org.*", "javax.*", "commons*", "io.airlift", "io.unitycatalog")
DELTA_EXCLUDES = (*(f"{group}:*" for group in OTHERS), "io.delta:delta-kernel-unitycatalog")
"""What the jars declare beyond each other: Spark brings it already, or a catalog that is not used."""

S3_DIGESTS = Path(__file__).with_name("s3_jars.sha256")
"""As `sha256sum` writes it."""


@dataclass(frozen=True)
class Pinned:
    """Jars that belong together: what Spark's resolver is asked for, and what it has to deliver."""

    packages: Sequence[str]
    excludes: Sequence[str]
    digests: Mapping[Path, str]
    """Where each jar goes -> its sha256. They are put there in this order."""


def delta_jars(home: Path) -> Pinned:
    """Return Delta's jars in a home."""
    packages = [f"io.delta:{artifact}:{DELTA_VERSION}" for artifact in DELTA_DIGESTS]
    return Pinned(packages, DELTA_EXCLUDES, dict(zip(jars(home), DELTA_DIGESTS.values(), strict=True)))


def s3_jars(home: Path) -> Pinned:
    """Return the jars of the connector for S3 in a home; the connector itself is the last."""
    lines = [line.split() for line in S3_DIGESTS.read_text(encoding="utf-8").splitlines()]
    return Pinned(S3_PACKAGES, S3_EXCLUDES, {s3_jar_folder(home) / name: digest for digest, name in lines})


def ensure_jars(home: Path, env: Mapping[str, str], store: str = "") -> None:
    """Fetch the jars that are missing or not the pinned ones: Delta's, and where the store is on S3 its connector.

    Raises `JarMismatch` for a jar with another digest than the pinned one, which stays out of `HOME/jars`.
    """
    for pinned in _needed(home, store):
        if not all(jar.exists() and _digest(jar) == pin for jar, pin in pinned.digests.items()):
            _fetch(pinned, home, env)


def all_jars(home: Path, store: str = "") -> list[Path]:
    """Return the jars that `ensure_jars` sees to."""
    return [jar for pinned in _needed(home, store) for jar in pinned.digests]


def _needed(home: Path, store: str) -> list[Pinned]:
    return [delta_jars(home), *([s3_jars(home)] if on_s3(store) else [])]


def _fetch(pinned: Pinned, home: Path, env: Mapping[str, str]) -> None:
    """Let `spark-submit` resolve the packages on its way to a script that does nothing."""
    work = home / "jars" / "ivy"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "settings.xml").write_text(
        '<ivysettings><settings defaultResolver="central"/>'
        f'<resolvers><ibiblio name="central" m2compatible="true"{_mirror()}/></resolvers></ivysettings>'
    )
    (work / "nothing.py").touch()
    confs = {
        "spark.jars.packages": ",".join(pinned.packages),
        "spark.jars.excludes": ",".join(pinned.excludes),
        "spark.jars.ivy": str(work),
        "spark.jars.ivySettings": str(work / "settings.xml"),
    }
    options = [part for key, value in confs.items() for part in ("--conf", f"{key}={value}")]
    submit = str(spark_home() / "bin" / "spark-submit")
    try:
        process.run("jars", [submit, *options, str(work / "nothing.py")], home=home, env=env)
    finally:
        _redact_addresses(process.log_file(home, "jars"))
    for jar, pin in pinned.digests.items():
        fetched = work / "jars" / jar.name
        if (digest := _digest(fetched)) != pin:
            raise JarMismatch(fetched, digest, pin)
    for jar in pinned.digests:
        jar.parent.mkdir(exist_ok=True)
        (work / "jars" / jar.name).replace(jar)
    shutil.rmtree(work)


def _mirror() -> str:
    """Return where Maven Central is to be read from, if the environment names a mirror as Spark knows it."""
    root = os.environ.get("DEFAULT_ARTIFACT_REPOSITORY")
    return f" root={quoteattr(root)}" if root else ""


def _redact_addresses(log: Path) -> None:
    """Remove the addresses from Ivy's log: that of a mirror may hold a token."""
    if log.exists():
        log.write_text(re.sub(r"https?://\S+", "<address>", log.read_text(errors="replace")))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
