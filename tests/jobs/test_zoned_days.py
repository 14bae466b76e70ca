"""Ingest and features on real Spark of a day of 25 hours, of rows that no columns identify."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import functions as F

from muster.context import Context
from muster.ingest.sources.kinds import complete_arrivals
from muster.storage.evolution import OtherZone
from muster.storage.store import Store
from muster.trial.landed_rows import landed_group
from muster.workload.load import load_workload
from muster_jobs import features, ingest
from muster_jobs.days import day_of
from tests.jobs.conftest import MakeJob

pytestmark = pytest.mark.spark

DAY = date(2024, 10, 27)
DECLARED = """
keys: [depot]
time: {column: at, zone: Europe/Berlin}
unique: row
columns: {depot: string, at: timestamp, late: "float?"}
source: {files: "landing/{workload}/{date}.csv"}
label: {column: late, above: 0}
features: {columns: [hour, of_day], lookback: 1, buckets: 2}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 2, evaluate: 1}
gate: {resample: row}
schedule: {start: 2024-10-26, every: 1}
"""
OWN = """
def features(rows):
    of_day = rows.groupby(["group", "date"])["at"].transform("size")
    return rows.assign(hour=rows["at"].dt.tz_convert("Europe/Berlin").dt.hour, of_day=of_day)[["hour", "of_day"]]
"""


class Days:
    """Two days of a row an hour, each row there twice, from files or from a table."""

    def __init__(self, folder: Path, make_job: MakeJob) -> None:
        self.folder, self.make_job, self.store = folder, make_job, Store(str(folder), "made")
        (folder / "made.py").write_text(OWN)
        since = datetime(2024, 10, 25, 22, tzinfo=UTC)
        self.hours = [since + timedelta(hours=more) for more in range(49)]
        for day, hours in ((date(2024, 10, 26), self.hours[:24]), (DAY, self.hours[24:])):
            file = Path(self.store.uri(self.store.landing), f"{day}.csv")
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"north,{at:%Y-%m-%dT%H:%M:%SZ},1" for at in hours for _ in range(2)]
            file.write_text("\n".join(["depot,at,late", *lines, ""]))
        at = pa.array([at for at in self.hours for _ in range(2)], pa.timestamp("us", "UTC"))
        rows = {"depot": ["north"] * len(at), "at": at, "late": [1.0] * len(at)}
        write_deltalake(str(folder / "lake"), pa.table(rows))

    def declare(self, text: str) -> Context:
        (self.folder / "made.yaml").write_text(text)
        return Context(load_workload(self.folder / "made.yaml"), self.folder, self.store)

    def run(self, stage: Any, day: date = DAY) -> dict[str, Any]:
        name = stage.__name__.rpartition(".")[2]
        return stage.run(self.make_job(name, self.folder / "made.yaml", day, self.folder))

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows = DeltaTable(self.store.table(table)).to_pyarrow_table().to_pylist()
        return sorted(rows, key=lambda row: (row["date"], row["row_id"]))


def test_a_day_of_25_hours_and_rows_without_identifying_columns(make_job: MakeJob, tmp_path: Path) -> None:
    days = Days(tmp_path, make_job)

    context = days.declare(DECLARED)
    arrived = complete_arrivals(context, [date(2024, 10, 26), DAY])
    tried = landed_group(context, arrived, "north").rows.sort_by([("date", "ascending"), ("row_id", "ascending")])
    result = days.run(ingest)
    assert (result["days"], result["accepted"], result["quarantined"]) == (2, 98, 0)
    assert days.rows("observations") == tried.to_pylist()
    of_day = [row["row_id"] for row in days.rows("observations") if row["date"] == DAY]
    assert sorted(of_day) == sorted(f"{DAY}.csv#{number}" for number in range(1, 51))
    days.run(features)
    built = [row for row in days.rows("features") if row["date"] == DAY]
    assert {row["of_day"] for row in built} == {50}
    assert sorted(row["hour"] for row in built) == sorted([*range(24), 2, *range(24), 2])
    assert {row["row_id"] for row in built} == set(of_day)

    days.declare(DECLARED.replace("Europe/Berlin", "America/New_York"))
    with pytest.raises(
        OtherZone, match="of 2024-10-26, 2024-10-27 were read in the zone Europe/Berlin, and declared is"
    ):
        days.run(features)

    context = days.declare(DECLARED.replace("files: ", "table: ").replace("landing/{workload}/{date}.csv", "./lake"))
    tried = landed_group(context, complete_arrivals(context, [DAY]), "north").rows
    assert days.run(ingest)["accepted"] == 98
    known = [row for row in days.rows("observations") if row["date"] == DAY]
    assert known == sorted(tried.to_pylist(), key=lambda row: row["row_id"])
    assert sorted(row["row_id"][-2:] for row in known) == ["#1"] * 25 + ["#2"] * 25
    rebuilt = days.run(features)
    assert rebuilt["slices"] == 2

    spark = make_job("features", tmp_path / "made.yaml", DAY, tmp_path).spark
    moments = spark.createDataFrame([(at.replace(tzinfo=None),) for at in days.hours], "at timestamp")
    counted = moments.groupBy(day_of(F.col("at"), "Europe/Berlin").alias("day")).count().collect()
    assert {row["day"]: row["count"] for row in counted} == {date(2024, 10, 26): 24, DAY: 25}
