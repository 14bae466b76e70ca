"""Only the pinned jars are ever used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from muster_local import jars, process
from muster_local.errors import JarMismatch


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for Spark's resolver: it delivers a jar for each artifact, and its commands are recorded."""
    commands: list[str] = []

    def deliver(name: str, command: Sequence[str], *, home: Path, env: Mapping[str, str]) -> None:
        commands.append(" ".join(command))
        (home / "jars" / "ivy" / "jars").mkdir()
        for jar in jars.jars(home):
            (home / "jars" / "ivy" / "jars" / jar.name).write_text(jar.name)
        process.log_file(home, name).parent.mkdir(exist_ok=True)
        process.log_file(home, name).write_text("downloading https://user:token@mirror/delta.jar ...\n")

    monkeypatch.setattr(process, "run", deliver)
    return commands


def pin(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    names = [jar.name for jar in jars.jars(home)]
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    monkeypatch.setattr(jars, "DIGESTS", dict(zip(jars.DIGESTS, digests, strict=True)))


def test_jars_are_fetched_once(tmp_path: Path, resolver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, tmp_path)
    jars.ensure_jars(tmp_path, {})
    jars.ensure_jars(tmp_path, {})
    assert len(resolver) == 1
    assert all(jar.exists() for jar in jars.jars(tmp_path))


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, resolver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, tmp_path)
    jars.ensure_jars(tmp_path, {})
    jars.jars(tmp_path)[0].write_text("damaged")
    jars.ensure_jars(tmp_path, {})
    assert len(resolver) == 2


@pytest.mark.usefixtures("resolver")
def test_a_jar_with_another_digest_is_refused_and_kept_out(tmp_path: Path) -> None:
    with pytest.raises(JarMismatch, match="not the pinned"):
        jars.ensure_jars(tmp_path, {})
    assert not any(jar.exists() for jar in jars.jars(tmp_path))


@pytest.mark.usefixtures("resolver")
def test_the_log_keeps_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, tmp_path)
    jars.ensure_jars(tmp_path, {})
    assert "mirror" not in process.log_file(tmp_path, "jars").read_text()
