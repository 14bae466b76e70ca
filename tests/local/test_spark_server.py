"""The local Spark Connect server before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muster.settings import Settings
from muster.spark_conf import LOG_STORE
from muster_local import spark_server


def test_what_a_killed_server_has_left_on_the_disk_is_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    left = Path(spark_server.confs(settings, {})["spark.local.dir"], "blockmgr-1", "0d", "shuffle_1.data")
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
    assert not [name for name in spark_server.confs(settings, {}) if name.endswith("ClassPath")]


def test_the_first_start_too_takes_the_jars_that_its_preparation_fetches(tmp_path: Path) -> None:
    """The command is made before it: what is not there yet would be resolved a second time, by Spark, unpinned."""
    settings = Settings(_env_file=None, home=tmp_path)
    for store, number in {"": 4, "s3://lake": 4 + 36 + 1}.items():
        confs = spark_server.confs(settings.model_copy(update={"store": store}), {})
        assert len(confs["spark.jars"].split(",")) == number
        assert "spark.jars.packages" not in confs


def test_only_a_store_on_s3_changes_anything(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    environ = {"AWS_ENDPOINT_URL": "https://store", "AWS_SECRET_ACCESS_KEY": "secret"}
    on_a_disk = spark_server.confs(settings, environ)
    on_s3 = spark_server.confs(settings.model_copy(update={"store": "s3://lake"}), environ)
    assert not [name for name in on_a_disk if "s3" in name]
    assert on_a_disk.keys() < on_s3.keys()
    assert on_s3["spark.delta.logStore.s3.impl"] == on_s3["spark.delta.logStore.s3a.impl"] == LOG_STORE
    assert "secret" not in json.dumps(on_s3)


@pytest.mark.parametrize("store", ["abfss://lake@account.dfs.core.windows.net", "gs://lake"])
def test_a_store_for_which_it_has_no_connector_is_refused_at_once(tmp_path: Path, store: str) -> None:
    settings = Settings(_env_file=None, home=tmp_path, store=store)
    with pytest.raises(spark_server.NoConnector, match=f"cannot reach MUSTER_STORE '{store}': .* s3:// only"):
        spark_server.part(settings, {}).prepare()
    assert list(tmp_path.iterdir()) == []
