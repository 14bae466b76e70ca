"""Spark on an object store: it commits beside delta-rs without a loss, each reads what the other wrote."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from muster.settings import Settings
from muster_local import local
from tests.object_store import ObjectStore
from tests.shared import settings_of

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The local Spark Connect server of a home whose store is on S3."""
    settings = settings_of(tmp_path_factory.mktemp("s3")).model_copy(update={"store": object_store.root("store")})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.environment.items():
            patch.setenv(name, value)
        local.start(settings, ["spark"])
        yield settings
        local.stop(settings)


@pytest.fixture
def spark(server: Settings, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkSession]:
    """A session on it, in a process whose own environment names the store."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    session = SparkSession.builder.remote(server.spark_remote).create()
    yield session
    session.client.close()


def both_append(spark: SparkSession, for_spark: str, for_rust: str, times: int) -> list[int]:
    """Append rows of their own numbers from Spark and from delta-rs at once; return all that are there at the end."""
    write_deltalake(for_rust, pa.table({"number": pa.array([], pa.int64())}))

    def by_spark() -> None:
        for number in range(times):
            spark.range(number, number + 1, 1, 1).toDF("number").write.format("delta").mode("append").save(for_spark)

    def by_rust() -> None:
        for number in range(1000, 1000 + 4 * times):
            write_deltalake(for_rust, pa.table({"number": pa.array([number], pa.int64())}), mode="append")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(by_spark), pool.submit(by_rust)]:
            done.result()
    return sorted(DeltaTable(for_rust).to_pyarrow_table()["number"].to_pylist())


def test_of_commits_by_spark_and_by_delta_rs_at_once_none_is_lost(
    spark: SparkSession, object_store: ObjectStore
) -> None:
    table = object_store.root("late", "race")
    assert both_append(spark, table, table, 4) == [*range(4), *range(1000, 1016)]
    assert DeltaTable(table).version() == 20


def test_with_deltas_own_log_some_are(spark: SparkSession, object_store: ObjectStore) -> None:
    """What the log store is for; `s3n` is a name for the same, of which Delta still takes its own."""
    spark.conf.set("fs.s3n.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem")
    table = object_store.root("late", "control")
    assert len(both_append(spark, table.replace("s3:", "s3n:"), table, 4)) < 20
