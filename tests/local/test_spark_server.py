"""The local Spark Connect server before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.settings import Settings
from muster_local import spark_server


def test_what_a_killed_server_has_left_on_the_disk_is_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    left = Path(spark_server.confs(settings)["spark.local.dir"], "blockmgr-1", "0d", "shuffle_1.data")
    left.parent.mkdir(parents=True)
    left.write_bytes(b"rows")
    monkeypatch.setattr(spark_server, "ensure_jars", lambda *_: None)
    monkeypatch.setattr(spark_server.spark_page, "compile_filter", lambda *_: None)
    spark_server.part(settings, {}).prepare()
    assert list(tmp_path.rglob("blockmgr-*")) == []


def test_what_guards_the_page_comes_after_sparks_own_jars(tmp_path: Path) -> None:
    """Before them it would keep Java from any archive of Spark's classes: a start would take half as long again."""
    settings = Settings(_env_file=None, home=tmp_path)
    [server] = spark_server.part(settings, {"SPARK_DIST_CLASSPATH": "/of/the/operator"}).services
    operators, ours = server.env["SPARK_DIST_CLASSPATH"].split(":")
    assert operators == "/of/the/operator"
    assert Path(ours).is_relative_to(tmp_path)
    assert not [name for name in spark_server.confs(settings) if name.endswith("ClassPath")]
