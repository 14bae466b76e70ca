"""Java for Spark: the machine's own where it is new enough, else installed by the system's package manager."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from muster_local.errors import JavaMissing

MIN_VERSION = 17
"""The oldest Java that Spark 4 runs on."""

INSTALLERS: dict[str, list[list[str]]] = {
    "apt-get": [
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "openjdk-17-jre-headless"],
    ],
    "dnf": [["dnf", "install", "-y", "java-17-openjdk-headless"]],
    "apk": [["apk", "add", "openjdk17-jre-headless"]],
    "brew": [["brew", "install", "openjdk@17"]],
}
"""Package manager -> what to run."""

INSTALL_PLACES = ("/usr/lib/jvm/*17*", "/opt/homebrew/opt/openjdk@17", "/usr/local/opt/openjdk@17")
"""Where those installs put a Java that may not be on PATH."""


@cache
def java_home() -> Path:
    """Return the home of a Java that Spark can use; install one if there is none."""
    return find_java() or _install()


def find_java() -> Path | None:
    """Return the first usable Java of `JAVA_HOME`, PATH and the usual places."""
    places = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        places.append(Path(on_path).resolve().parents[1])
    for pattern in INSTALL_PLACES:
        places.extend(sorted(Path("/").glob(pattern.lstrip("/"))))
    return next((place for place in places if version(place) >= MIN_VERSION), None)


def version(home: Path) -> int:
    """Return the major version of the Java in a folder, 0 where there is none that runs."""
    try:
        result = _run(str(home / "bin" / "java"), "-version")
    except (OSError, subprocess.SubprocessError):
        return 0
    number = re.search(r'version "(?:1\.)?(\d+)', result.stderr)
    return int(number[1]) if number else 0


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env, timeout=600)  # noqa: S603 - fixed commands


def _install() -> Path:
    manager = next((name for name in INSTALLERS if shutil.which(name)), None)
    if manager is None:
        raise JavaMissing(MIN_VERSION, f"none of {', '.join(INSTALLERS)} is there to install it")
    sudo = [] if os.geteuid() == 0 or manager == "brew" else ["sudo", "-n"]
    for command in INSTALLERS[manager]:
        try:
            _run(*sudo, *command)
        except (OSError, subprocess.SubprocessError):
            raise JavaMissing(MIN_VERSION, f"`{' '.join([*sudo, *command])}` failed") from None
    home = find_java()
    if home is None:
        raise JavaMissing(MIN_VERSION, f"what {manager} installed was not found")
    return home
