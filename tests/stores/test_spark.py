"""Spark on an object store: it commits beside delta-rs without a loss, each reads what the other wrote."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait

import obstore
import psutil
import pyarrow as pa
import pytest
import requests
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from muster.settings import Settings
from tests.object_store import SECRET, ObjectStore

pytestmark = [pytest.mark.spark, pytest.mark.slow]


def one(spark: SparkSession, number: int) -> DataFrame:
    return spark.range(number, number + 1, 1, 1).toDF("number")


def append(rows: DataFrame, table: str) -> None:
    rows.write.format("delta").mode("append").save(table)


def numbers(table: str) -> list[int]:
    """Return the rows of a table as delta-rs reads them."""
    return sorted(DeltaTable(table).to_pyarrow_table()["number"].to_pylist())


def both_append(spark: SparkSession, for_spark: str, for_rust: str) -> tuple[list[int], list[int]]:
    """Append a row from Spark, and others from delta-rs meanwhile; return what was committed, and what is there.

    Below `raced/` the first version that Spark would write is another's by the time that it is put.
    """
    write_deltalake(for_rust, pa.table({"number": pa.array([], pa.int64())}))
    committed = [0]
    with ThreadPoolExecutor(1) as pool:
        spark_is = pool.submit(append, one(spark, 0), for_spark)
        while not spark_is.done():
            committed.append(len(committed))
            write_deltalake(for_rust, pa.table({"number": pa.array(committed[-1:], pa.int64())}), mode="append")
            wait([spark_is], timeout=len(committed) / 10)  # longer each time, so that Spark comes to its turn
        spark_is.result()
    return committed, numbers(for_rust)


def test_of_commits_by_spark_and_by_delta_rs_at_once_none_is_lost(
    spark: SparkSession, object_store: ObjectStore
) -> None:
    table = object_store.root("raced", "table")
    committed, there = both_append(spark, table, table)
    assert there == committed
    assert DeltaTable(table).version() == len(committed)


def test_with_deltas_own_log_one_is(spark: SparkSession, object_store: ObjectStore) -> None:
    """What the log store is for; `s3n` is a name for the same, of which Delta still takes its own."""
    spark.conf.set("fs.s3n.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem")
    table = object_store.root("raced", "control")
    committed, there = both_append(spark, table.replace("s3:", "s3n:"), table)
    assert len(there) == len(committed) - 1


@pytest.mark.parametrize("fault", ["busy", "lost"])
def test_a_commit_whose_answer_is_lost_or_that_has_to_be_repeated_is_made_once(
    spark: SparkSession, object_store: ObjectStore, fault: str
) -> None:
    table = object_store.root(fault, "table")
    for number in (1, 2):
        append(one(spark, number), table)
    assert numbers(table) == [1, 2]
    assert DeltaTable(table).version() == 1


def test_partitions_are_replaced_and_earlier_versions_and_checkpoints_read(
    spark: SparkSession, object_store: ObjectStore
) -> None:
    table = object_store.root("store", "tables", "made")
    rows = spark.range(0, 4, 1, 2).select(F.col("id").alias("number"), (F.col("id") % 2).cast("int").alias("partition"))
    rows.write.format("delta").partitionBy("partition").save(table)
    for number in range(8):
        row = {"number": pa.array([number], pa.int64()), "partition": pa.array([0], pa.int32())}
        write_deltalake(table, pa.table(row), mode="overwrite", predicate="partition = 0")
    DeltaTable(table).create_checkpoint()
    replacing = rows.where("partition = 0").withColumn("number", F.lit(7).cast("long"))
    for _ in range(2):  # the tenth commit writes a checkpoint, and where it is over the last one
        replacing.write.format("delta").mode("overwrite").option("replaceWhere", "partition = 0").save(table)
    assert numbers(table) == [1, 3, 7, 7]
    earlier = spark.read.format("delta").option("versionAsOf", 0).load(table)
    assert sorted(row.number for row in earlier.collect()) == [0, 1, 2, 3]
    log = obstore.store.from_url(f"{table}/_delta_log", client_options={"allow_http": True})
    assert json.loads(log.get("_last_checkpoint").bytes().to_bytes())["version"] == 10
    log.delete([f"{number:020}.json" for number in range(10)] + [f"{8:020}.checkpoint.parquet"])
    assert numbers(table) == [1, 3, 7, 7]  # from Spark's checkpoint: nothing else says what there was


def test_keys_are_in_no_argument_on_no_page_and_in_no_log(s3_spark: Settings, spark: SparkSession) -> None:
    assert spark.range(3).count() == 3
    page = f"http://{s3_spark.spark_address}:{s3_spark.spark_ui_port}"
    [application] = requests.get(f"{page}/api/v1/applications", timeout=30).json()
    told = requests.get(f"{page}/api/v1/applications/{application['id']}/environment", timeout=30).text
    assert "fs.s3a.endpoint" in told
    logs = [file.read_text(errors="replace") for file in (s3_spark.home / "logs").iterdir()]
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    html = requests.get(f"{page}/environment/", timeout=30).text
    assert not [text for text in (told, html, *logs, *lines) if SECRET in text or "access-key-of-tests" in text]
