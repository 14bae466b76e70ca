"""What fails on a real Spark: told in one line, or tried again where that is all it needs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from muster.models.loading import CorruptModel
from muster_jobs.failures import known_failure
from tests.jobs.conftest import MakeJob
from tests.plugins.airflow_task import declare

pytestmark = [pytest.mark.spark, pytest.mark.slow]


def test_several_first_writers_of_a_table_all_end_well(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("ingest", declare(tmp_path), "2024-02-05", tmp_path)
    days = ("2024-02-05", "2024-02-06", "2024-02-07")

    def write(day: str) -> None:
        rows = job.spark.range(3).select(F.lit(day).cast("date").alias("date"), F.lit("x").alias("reason"))
        job.replace(rows, "quarantine", f"date IN ('{day}')")

    job.at_once(*(lambda day=day: write(day) for day in days))  # type: ignore[misc]
    table = job.store.open("quarantine")
    assert table is not None
    assert sorted(str(day) for day in table.to_pyarrow_table()["date"].to_pylist()) == sorted(days * 3)


def test_a_corrupt_model_in_a_worker_is_told_in_its_own_words(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("score", declare(tmp_path), "2024-02-05", tmp_path)
    corrupt = CorruptModel("A,B", "shards/1", "abc", "def")

    def work(_: int) -> pa.Table:
        raise CorruptModel("A,B", "shards/1", "abc", "def")

    with pytest.raises(Exception, match="PYTHON_EXCEPTION") as raised:
        job.over_bins([[0]], work, pa.schema([("group", pa.string())]))
    assert str(known_failure(raised.value)) == str(corrupt)
