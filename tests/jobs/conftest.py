"""A Spark session for the jobs' tests: one for all of them, so that its Python workers start once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from muster.context import Context
from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.load import load_workload
from muster_jobs.job import Job
from muster_jobs.session import MICROSECONDS
from tests.promotion.conftest import artifact_store, grouped, line, registry, served

__all__ = ["artifact_store", "grouped", "line", "registry", "served"]

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(spark_connect_server: str) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(spark_connect_server).create()
    session.conf.set(*MICROSECONDS)
    yield session
    session.stop()


def table(job: Job, name: str) -> list[dict[str, Any]]:
    """Return the rows of one of a job's tables, in a fixed order."""
    delta_table = job.store.open(name)
    assert delta_table is not None
    rows: list[dict[str, Any]] = pa.table(delta_table.to_pyarrow_table()).to_pylist()
    return sorted(rows, key=str)


class LocalJob(Job):
    """The job with its bins run here."""

    memory = None  # type: ignore[assignment] - there is no Spark to ask

    def over_bins(
        self,
        bins: Sequence[Sequence[int]],
        function: Callable[[int], pa.Table],
        schema: pa.Schema,
        loads: Collection[str] = (),
        cpus: int = 1,
    ) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *(function(bucket) for some in bins for bucket in some)])


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(spark: SparkSession) -> MakeJob:
    """Return a maker of jobs on the shared session: `make_job(stage, yaml, partition, root)`."""

    def make(stage: str, yaml: Path, partition: str | date, root: Path, buckets: int | None = None) -> Job:
        workload = load_workload(yaml)
        if buckets is not None:
            features = workload.features.model_copy(update={"buckets": buckets})
            workload = workload.model_copy(update={"features": features})
        context = Context(workload, yaml.parent, Store(str(root), workload.name)).at(str(partition))
        job = Job(stage, context, Settings(home=root, store=str(root)), attempt="test")
        job.__dict__["spark"] = spark  # in place of the session that the job would make for itself
        return job

    return make
