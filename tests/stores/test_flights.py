"""Flights of a Delta table, of a database and of Parquet on an object store: the verdicts of those of files."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from muster.context import Context
from muster.settings import Settings
from muster.settings.connections import variable
from muster.storage.delta import dataset
from muster.storage.files import Files
from muster.storage.store import Store
from muster.workload.functions import function
from muster.workload.load import load_workload
from muster_jobs import evaluate, features, ingest, train
from muster_jobs.job import Job
from muster_jobs.session import MICROSECONDS
from muster_local import PROJECT
from tests import databases
from tests.databases import Database
from tests.object_store import ObjectStore
from tests.shared import Shared
from tests.stores.conftest import FLIGHTS
from tests.stores.test_line import mlflow_of_its_own

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NAME, PARTITION = "flight_delays", date(2013, 5, 27)
CARRIERS = {"F9", "AS", "VX"}
STAGES = (ingest, features, train, evaluate)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """The flights of three carriers in the days that the first partition asks for."""
    folder = PROJECT / "include" / "workloads"
    workload = load_workload(folder / f"{NAME}.yaml")
    windows = Context(workload, folder, Store("/nowhere", NAME)).at(str(PARTITION)).windows
    days = (
        rows
        for day, rows in function(workload, folder, workload.landing)(frozenset())
        if windows.observed.start <= day < windows.partition
    )
    every = pd.concat(days, ignore_index=True)[list(workload.columns)]
    return every[every["carrier"].isin(CARRIERS)].reset_index(drop=True)


def typed(flights: pd.DataFrame) -> pa.Table:
    columns = flights.assign(built=flights["built"].astype("Int64"), sched_dep=pd.to_datetime(flights["sched_dep"]))
    table = pa.Table.from_pandas(columns, preserve_index=False)
    at = table.column_names.index("sched_dep")
    return table.set_column(at, "sched_dep", table["sched_dep"].cast(pa.timestamp("us", "UTC")))


def as_files(flights: pd.DataFrame, store: Store, bucket: str, database: Database) -> dict[str, Any]:
    for day, rows in flights.groupby(pd.to_datetime(flights["sched_dep"]).dt.date):
        store.files.put(f"{store.landing}/{day}.csv.gz", gzipped(rows))
    return {}


def gzipped(rows: pd.DataFrame) -> bytes:
    data = io.BytesIO()
    rows.to_csv(data, index=False, compression="gzip")
    return data.getvalue()


def as_table(flights: pd.DataFrame, store: Store, bucket: str, database: Database) -> dict[str, Any]:
    write_deltalake(f"{bucket}/raw/flights", typed(flights))
    return {"table": f"{bucket}/raw/flights"}


def as_parquet(flights: pd.DataFrame, store: Store, bucket: str, database: Database) -> dict[str, Any]:
    table, files = typed(flights), Files(bucket)
    days = pd.to_datetime(flights["sched_dep"]).dt.date.to_numpy()
    for day in sorted(set(days)):
        own = table.filter(pa.array(days == day))
        for number, part in enumerate((own.slice(0, 1), own.slice(1))):
            data = io.BytesIO()
            pq.write_table(part, data)
            files.put(f"flights/date={day}/part-{number}.parquet", data.getvalue())
    return {"files": f"{bucket}/flights/date={{date}}/*.parquet"}


def as_sql(flights: pd.DataFrame, store: Store, bucket: str, database: Database) -> dict[str, Any]:
    typed(flights).to_pandas().to_sql("flights", database.engine, index=False, method="multi", chunksize=1_000)
    select = "SELECT * FROM flights WHERE sched_dep >= :start AND sched_dep < :end"
    return {"sql": select, "connection": FLIGHTS}


Deliver = Callable[[pd.DataFrame, Store, str, Database], dict[str, Any]]


def judged(spark: SparkSession, folder: Path, source: dict[str, Any], store: Store) -> list[dict[str, Any]]:
    """Bring the partition to its verdicts; return them."""
    for end in ("yaml", "py"):
        (folder / f"{NAME}.{end}").write_text((PROJECT / "include" / "workloads" / f"{NAME}.{end}").read_text())
    if source:
        declared = yaml.safe_load((folder / f"{NAME}.yaml").read_text())
        del declared["landing"]
        (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(declared | {"source": source}))
    workload = load_workload(folder / f"{NAME}.yaml")
    for stage in STAGES:
        name = stage.__name__.rpartition(".")[2]
        job = Job(
            name, Context(workload, folder, store).at(str(PARTITION)), Settings(home=folder, store=store.root), "test"
        )
        job.__dict__["spark"] = spark
        stage.run(job)
    delta = store.open("decisions")
    assert delta is not None
    rows: list[dict[str, Any]] = dataset(delta).to_table().sort_by("group").to_pylist()
    return rows


def test_verdicts_are_the_same_wherever_flights_come_from(
    spark: SparkSession,
    flights: pd.DataFrame,
    shared: Shared,
    object_store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spark.conf.set(*MICROSECONDS)
    bucket, verdicts = object_store.root("flights"), {}
    with databases.database(shared, FLIGHTS) as database:
        monkeypatch.setenv(variable(FLIGHTS), databases.with_password(database.url))
        ways: tuple[Deliver, ...] = (as_files, as_table, as_parquet, as_sql)
        for deliver in ways:
            folder = tmp_path / deliver.__name__
            folder.mkdir()
            store = Store(str(folder / "store"), NAME)
            source = deliver(flights, store, bucket, database)
            with mlflow_of_its_own(folder / "mlflow", monkeypatch):
                verdicts[deliver.__name__] = judged(spark, folder, source, store)
    of_files = verdicts.pop("as_files")
    assert {row["verdict"] for row in of_files} >= {"promote", "hold"}
    assert all(rows == of_files for rows in verdicts.values())  # the run's name among them: its rows are the same
