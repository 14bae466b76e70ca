"""Only the pinned jars are ever used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from muster.spark_conf import DELTA_VERSION, s3_jar_folder, s3_sources
from muster_local import jars, process
from muster_local.errors import JarMismatch


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for Spark's resolver: it delivers every jar, and its commands are recorded."""
    commands: list[str] = []

    def deliver(name: str, command: Sequence[str], *, home: Path, env: Mapping[str, str]) -> None:
        commands.append(" ".join(command))
        (home / "jars" / "ivy" / "jars").mkdir()
        for jar in jars.all_jars(home, "s3://lake"):
            (home / "jars" / "ivy" / "jars" / jar.name).write_text(jar.name)
        process.log_file(home, name).parent.mkdir(exist_ok=True)
        process.log_file(home, name).write_text("downloading https://user:token@mirror/delta.jar ...\n")

    monkeypatch.setattr(process, "run", deliver)
    return commands


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the resolver delivers is what is pinned."""
    names = [jar.name for jar in jars.all_jars(tmp_path, "s3://lake")]
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    of_delta = {artifact: digests[f"io.delta_{artifact}-{DELTA_VERSION}.jar"] for artifact in jars.DELTA_DIGESTS}
    file = tmp_path / "digests"
    lines = [f"{digests[jar.name]}  {jar.name}\n" for jar in jars.s3_jars(tmp_path).digests]
    file.write_text("".join(lines))
    monkeypatch.setattr(jars, "DELTA_DIGESTS", of_delta)
    monkeypatch.setattr(jars, "S3_DIGESTS", file)


@pytest.mark.usefixtures("pinned")
def test_jars_are_fetched_once(tmp_path: Path, resolver: list[str]) -> None:
    jars.ensure_jars(tmp_path, {})
    jars.ensure_jars(tmp_path, {})
    assert len(resolver) == 1
    assert all(jar.exists() for jar in jars.all_jars(tmp_path))
    assert not s3_jar_folder(tmp_path).exists()


@pytest.mark.usefixtures("pinned")
def test_the_connector_is_fetched_for_a_store_on_s3_only(tmp_path: Path, resolver: list[str]) -> None:
    for store in ("/srv/store", "abfss://lake@account.dfs.core.windows.net", "s3://lake"):
        assert s3_sources(tmp_path).keys() == {"spark.jars.packages", "spark.jars.excludes"}
        jars.ensure_jars(tmp_path, {}, store)
    assert ["hadoop-aws" in command for command in resolver] == [False, True]
    assert s3_sources(tmp_path)["spark.jars"].count(".jar") == 36
    assert set(s3_jar_folder(tmp_path).iterdir()) == set(jars.s3_jars(tmp_path).digests)


def test_a_connector_that_is_there_in_part_is_none(tmp_path: Path) -> None:
    """The last jar that is put there is the one that all others are for."""
    *others, last = jars.s3_jars(tmp_path).digests
    last.parent.mkdir(parents=True)
    for jar in others:
        jar.touch()
    assert "spark.jars" not in s3_sources(tmp_path)
    last.touch()
    assert "spark.jars" in s3_sources(tmp_path)


@pytest.mark.usefixtures("pinned")
def test_a_damaged_jar_is_fetched_again(tmp_path: Path, resolver: list[str]) -> None:
    jars.ensure_jars(tmp_path, {})
    jars.all_jars(tmp_path)[0].write_text("damaged")
    jars.ensure_jars(tmp_path, {})
    assert len(resolver) == 2


@pytest.mark.usefixtures("resolver")
@pytest.mark.parametrize("store", ["", "s3://lake"])
def test_a_jar_with_another_digest_is_refused_and_kept_out(tmp_path: Path, store: str) -> None:
    with pytest.raises(JarMismatch, match="not the pinned"):
        jars.ensure_jars(tmp_path, {}, store)
    assert not any(jar.exists() for jar in jars.all_jars(tmp_path, store))


@pytest.mark.usefixtures("resolver", "pinned")
def test_the_log_keeps_no_address(tmp_path: Path) -> None:
    jars.ensure_jars(tmp_path, {})
    assert "mirror" not in process.log_file(tmp_path, "jars").read_text()
