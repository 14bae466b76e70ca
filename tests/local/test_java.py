"""Java is found, judged by its version, installed, or its absence told."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_local import java
from muster_local.errors import JavaMissing


def make_java(home: Path, version: str) -> Path:
    """Make a folder with a `bin/java` that prints a version."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away this machine's Java and its package managers."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(java, "INSTALL_PLACES", ())
    java.java_home.cache_clear()


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("1.8.0_402", 8), ("21", 21)])
def test_version(tmp_path: Path, version: str, major: int) -> None:
    assert java.version(make_java(tmp_path / "jdk", version)) == major


@pytest.mark.usefixtures("bare")
def test_java_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{make_java(tmp_path / 'a', '21.0.1') / 'bin'}")
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "b", "17.0.1")))
    assert java.find_java() == tmp_path / "b"


@pytest.mark.usefixtures("bare")
def test_too_old_a_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "old", "11.0.2")))
    monkeypatch.setenv("PATH", f"{make_java(tmp_path / 'new', '17.0.1') / 'bin'}")
    assert java.find_java() == tmp_path / "new"


@pytest.mark.usefixtures("bare")
def test_no_java_and_no_way_to_install_one_is_told() -> None:
    with pytest.raises(JavaMissing, match="no Java 17 or newer in JAVA_HOME or on PATH, and none of apt-get"):
        java.java_home()


@pytest.mark.usefixtures("bare")
def test_an_install_that_fails_is_told_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "dnf"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(JavaMissing, match="`dnf install -y java-17-openjdk-headless` failed"):
        java.java_home()
