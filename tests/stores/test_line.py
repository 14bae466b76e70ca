"""The whole line on an object store gives what it gives on a disk: the same rows, digests, verdicts and answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from muster.context import Context
from muster.settings import Settings, settings
from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.workload.load import load_workload
from muster_jobs import evaluate, features, ingest, promote, score, train
from muster_jobs.job import Job
from muster_jobs.session import MICROSECONDS
from tests import machines
from tests.object_store import ObjectStore
from tests.registry.fake import fake_mlflow

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = (ingest, features, train, evaluate, promote, score)
OF_THE_RUN = {"at", "seconds", "scored_at", "mlflow_run_id", "features_table", "evidence", "made_from", "files"}
"""Columns that tell when, by which process or of which table, not what."""


@contextmanager
def mlflow_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fake_mlflow(folder) as uri, monkeypatch.context() as patch:
        patch.setenv("MUSTER_MLFLOW_URI", uri)
        settings.cache_clear()
        yield
    settings.cache_clear()


def through_the_line(spark: SparkSession, yaml: Path, root: str, home: Path) -> None:
    """Bring two weeks through all stages."""
    spark.conf.set(*MICROSECONDS)
    workload = load_workload(yaml)
    machines.land(Store(root, workload.name))
    for partition in (machines.FIRST, machines.SECOND):
        for stage in STAGES:
            name = stage.__name__.rpartition(".")[2]
            context = Context(workload, yaml.parent, Store(root, workload.name)).at(str(partition))
            job = Job(name, context, Settings(home=home, store=root), attempt="test")
            job.__dict__["spark"] = spark
            stage.run(job)


def rows_of(store: Store, table: str) -> list[dict[str, Any]]:
    delta = store.open(table)
    if delta is None:
        return []
    rows: pa.Table = dataset(delta).to_table()
    rows = rows.select([name for name in sorted(rows.column_names) if name not in OF_THE_RUN])
    return sorted(rows.to_pylist(), key=repr)


def test_every_table_is_the_same_row_by_row(
    spark: SparkSession, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pack that MLflow does not have the bytes of: they are read from the store too."""
    yaml = machines.declare(tmp_path, "pack")
    yaml.write_text(f"{yaml.read_text()}pack: {{mlflow_bytes: 0}}\n")
    stores = {}
    for kind, root in (("disk", str(tmp_path / "store")), ("bucket", object_store.root("line"))):
        with mlflow_of_its_own(tmp_path / kind, monkeypatch):
            through_the_line(spark, yaml, root, tmp_path)
        stores[kind] = Store(root, machines.NAME)
    machines.check(stores["bucket"], machines.SECOND)
    for table in TABLES:
        disk, bucket = (rows_of(store, table) for store in stores.values())
        assert disk == bucket, table
        assert disk or table == "monitoring", table  # which the workload does not declare
    for local in (tmp_path, Path.cwd()):
        assert not list(local.glob("**/s3:")), "a URI taken for a folder's name"
