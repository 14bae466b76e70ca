"""Ingest of files of other formats, many a day, and of tables: Spark's workers read them, and what they give is as from
csv."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muster.ingest.sources.files import BadFile
from muster.ingest.sources.kinds import source_of
from muster.ingest.sources.table import BadTable
from muster_jobs import ingest
from tests.jobs.conftest import MakeJob, table
from tests.landed import check_days

pytestmark = pytest.mark.spark

DECLARED = """
keys: [place]
time: at
columns: {place: string, at: timestamp, seats: "int?", delay: "float? [-60, 600]"}
unique: [place, at]
label: {column: delay, above: 15}
features: {columns: [hour], lookback: 1}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 1, evaluate: 1}
gate: {resample: row}
schedule: {start: 2024-01-01, every: 1}
max_refused: 1
source: {files: "lake/date={date}/*.parquet", complete: _SUCCESS}
"""
DAY = date(2024, 1, 5)


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text("def features(rows): ...\n")
    (tmp_path / "made.yaml").write_text(DECLARED)
    return tmp_path / "made.yaml"


def put(folder: Path, name: str, *places: str, **columns: pa.Array) -> Path:
    """Write a file of the day, a row a place."""
    path = folder / "lake" / f"date={DAY}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    at = pa.array([datetime(2024, 1, 5, 6)] * len(places), pa.timestamp("ms", "Europe/Berlin"))
    numbers = {"seats": pa.array(range(len(places)), pa.int16()), "delay": pa.array([1.5] * len(places), pa.float32())}
    pq.write_table(pa.table({"place": pa.array(places).dictionary_encode(), "at": at, **numbers, **columns}), path)
    (path.parent / "_SUCCESS").touch()
    return path


def test_a_day_of_many_files_is_one_day_and_another_file_is_another_delivery(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job, after = make_job("ingest", yaml, DAY, tmp_path), make_job("ingest", yaml, "2024-01-06", tmp_path)
    put(tmp_path, "1.parquet", "north", "south")
    put(tmp_path, "2.parquet", "north", "west", delay=pa.array(["601", None]))
    result = ingest.run(job)
    assert (result["days"], result["files"], result["accepted"]) == (1, 2, 3)
    assert table(job, "observations") == sorted(check_days(job.context, [DAY]).rows.to_pylist(), key=str)
    (refused,) = table(job, "quarantine")
    assert (refused["file"], refused["reason"]) == ("date=2024-01-05/2.parquet", "delay: above 600")

    (tmp_path / "lake" / "date=2024-01-06").mkdir()
    (tmp_path / "lake" / "date=2024-01-06" / "_SUCCESS").touch()
    assert ingest.run(after) == {"days": 1, "files": 0, "rows": 0, "accepted": 0, "quarantined": 0, "reasons": {}}
    before = {name: table(job, name) for name in ("observations", "quarantine")}
    bad = put(tmp_path, "3.parquet", "east", seats=pa.array([[1]]))
    with pytest.raises(BadFile, match=r"3\.parquet' has columns of other types .*: 'seats' is list<element: int64>"):
        ingest.run(after)
    assert {name: table(job, name) for name in before} == before
    bad.unlink()
    put(tmp_path, "4.parquet", "east")
    result = ingest.run(after)
    assert (result["days"], result["files"], result["accepted"]) == (2, 3, 4)
    assert [row["place"] for row in table(job, "observations")].count("east") == 1


OTHERS = {
    "deletion vectors": "'delta.enableDeletionVectors' = 'true'",
    "column mapping": "'delta.columnMapping.mode' = 'name'",
    "v2 checkpoints": "'delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '1'",
}


def test_a_table_that_others_wrote_gives_the_rows_that_it_has(make_job: MakeJob, yaml: Path, tmp_path: Path) -> None:
    """Deleted rows are not there and renamed columns have their values, whatever the log looks like."""
    put(tmp_path, "1.parquet", "north", "south")
    by_files = make_job("ingest", yaml, DAY, tmp_path)
    ingest.run(by_files)
    spark, expected = by_files.spark, table(by_files, "observations")

    def sql(statement: str) -> None:
        spark.sql(statement).collect()

    def created(name: str, properties: str, seats: str = "seats") -> str:
        place = f"{tmp_path}/{name.replace(' ', '_')}"
        columns = f"more STRING, {seats} INT, place STRING, at TIMESTAMP, delay FLOAT"
        sql(f"CREATE TABLE delta.`{place}` ({columns}) USING DELTA TBLPROPERTIES ({properties})")
        yaml.write_text(DECLARED[: DECLARED.index("source:")] + f"source: {{table: {place}}}\n")
        return place

    at = f"TIMESTAMP '{DAY} 06:00:00'"
    for name, properties in OTHERS.items():
        place = created(name, properties, "seat" if name == "column mapping" else "seats")
        for values in (f"0, 'north', {at}", f"1, 'south', {at}), ('x', 7, 'gone', {at}", "8, 'east', NULL"):
            sql(f"INSERT INTO delta.`{place}` SELECT *, 1.5 FROM VALUES ('x', {values})")
        sql(f"DELETE FROM delta.`{place}` WHERE place = 'gone'")
        if name == "column mapping":
            sql(f"ALTER TABLE delta.`{place}` RENAME COLUMN seat TO seats")
        job = make_job("ingest", yaml, DAY, tmp_path / f"store of {name}")
        result = ingest.run(job)
        assert (result["accepted"], result["quarantined"], result["undated"]) == (2, 0, 1), name
        assert table(job, "observations") == expected, name
        if name == "deletion vectors":  # as many rows in the same files, but others
            source = source_of(job.context)
            before = source.arrived({DAY})[DAY].delivery
            sql(f"RESTORE TABLE delta.`{place}` TO VERSION AS OF 3")
            sql(f"DELETE FROM delta.`{place}` WHERE place = 'south'")
            assert source.arrived({DAY})[DAY].delivery != before

    place = created("wider types", "'delta.enableTypeWidening' = 'true'")
    sql(f"INSERT INTO delta.`{place}` VALUES ('x', 1, 'north', {at}, 1.5)")
    sql(f"ALTER TABLE delta.`{place}` ALTER COLUMN seats TYPE BIGINT")
    with pytest.raises(BadTable, match=r"typeWidening, which is not read; take it back in Spark SQL: ALTER TABLE"):
        ingest.run(make_job("ingest", yaml, DAY, tmp_path / "store of wider types"))
