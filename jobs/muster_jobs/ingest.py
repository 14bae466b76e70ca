"""Bring landed files into `observations`, and their bad rows into `quarantine` with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from muster.ingest.arrivals import day_facts, deliveries
from muster.ingest.landed_files import check_files, days_to_ingest, landed_file, landed_schema, read_landed
from muster.storage.evolution import check_observations
from muster.storage.provenance import write_facts
from muster.workload.spec import Workload
from muster_jobs.collation import without_collation
from muster_jobs.command_line import main
from muster_jobs.content import day_contents
from muster_jobs.job import Job
from muster_jobs.row_checks import CHECKS


def run(job: Job) -> dict[str, Any]:
    """Check whole files first, then rows; write `quarantine`, then `observations`, each in one commit.

    `observations` comes last: its days show the next run what is ingested, so a crash between the two is repaired by
    running again.
    """
    workload = job.workload
    days = days_to_ingest(job.context)
    check_observations(workload, job.store.open("observations"))
    files = {day: landed_file(job.store, day) for day in days}
    delivered = deliveries(files)  # before they are read: what comes meanwhile is another delivery
    check_files(workload, files.values())
    rows = reduce(lambda frame, check: check(workload, frame), CHECKS, _read_landed_days(job, days)).persist()
    try:
        reasons = {row["reason"]: row["count"] for row in rows.groupBy("reason").count().collect()}
        dates = ", ".join(f"'{day}'" for day in days)
        where = f"date IN ({dates})"
        if reasons.keys() > {None} or set(days) & job.store.days("quarantine"):
            job.replace(_quarantine_rows(rows), "quarantine", where)
        observations = _observation_rows(workload, rows)
        content = day_contents(observations, workload.columns)
        job.replace(observations.repartition(job.bins, "date"), "observations", where)
        write_facts(job.store, day_facts(job.store, delivered, content))
    finally:
        rows.unpersist()
    good = reasons.pop(None, 0)
    bad = sum(reasons.values())
    counts = {"rows": good + bad, "accepted": good, "quarantined": bad}
    return {"days": len(days), "files": len(days), **counts, "reasons": reasons}


def _read_landed_days(job: Job, days: Sequence[date]) -> DataFrame:
    """Read the days' files as text, a task some files."""
    context, tasks = job.context, min(job.bins, len(days))
    schema = landed_schema(context.workload)
    days_of_task = [days[number::tasks] for number in range(tasks)]

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for day in days_of_task[number]:
                    yield from read_landed(context, day).to_batches()

    text = job.spark.range(0, tasks, 1, tasks).mapInArrow(read, from_arrow_schema(schema))
    return without_collation(text, "file")


def _quarantine_rows(rows: DataFrame) -> DataFrame:
    text = F.to_json("landed", {"ignoreNullFields": "false"})
    return rows.where("reason IS NOT NULL").select(F.col("day").alias("date"), "file", text.alias("row"), "reason")


def _observation_rows(workload: Workload, rows: DataFrame) -> DataFrame:
    declared = [F.col("typed")[name].alias(name) for name in workload.columns]
    good = rows.where("reason IS NULL")
    return good.select(*declared, "group", "bucket", "row_id", F.col("day").alias("date"))


if __name__ == "__main__":
    main("ingest", run)
