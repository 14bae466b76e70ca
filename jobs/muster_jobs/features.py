"""Compute the features of a partition's slices from `observations`, laid out by bucket."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark import cloudpickle
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from muster.features.compute import PARENT_COLUMN, compute, row_schema, with_parent_names
from muster.features.slices import Slices, slices_to_build
from muster.ingest.quiet_days import quiet
from muster.workload.functions import PREFIX, function
from muster.workload.spec import Parent, Workload
from muster_jobs import groups
from muster_jobs.collation import without_collation
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Build the partition's own slice, and the earlier slices of its windows that the table has not."""
    slices = slices_to_build(job.context, quiet(job.context, job.windows.score))
    partitions = ", ".join(f"'{first}'" for first in slices.first_days)
    where = f"partition IN ({partitions})"
    rows = (
        _with_partition_and_bucket(job.workload, _compute_features(job, slices))
        .where(where)
        .repartition(job.bins, "bucket")
    )
    # Sorted so, a task writes one file a slice and bucket, and the file is in the order that training reads.
    job.replace(rows.sortWithinPartitions("partition", "bucket", "group", "time", "row_id"), "features", where)
    return {"slices": len(slices.first_days), **_counts(job.store.open("features"), slices)}


def _compute_features(job: Job, slices: Slices) -> DataFrame:
    """Run the workload's function on whole groups, a bucket at a time."""
    workload, days = job.workload, slices.days
    own = function(workload, job.context.folder, workload.features.function)
    if own.__module__.startswith(PREFIX):  # the workers have no such file
        cloudpickle.register_pickle_by_value(sys.modules[own.__module__])

    def of_bucket(rows: pa.Table) -> pa.Table:
        return with_parent_names(workload, compute(workload, own, rows.drop_columns("bucket"), days))

    schema = row_schema(workload).append(pa.field(PARENT_COLUMN, pa.string()))
    read = slices.observed
    rows = job.spark.read.format("delta").load(job.store.table("observations"))
    rows = rows.where((F.col("date") >= read.start) & (F.col("date") < read.stop))
    # Not the rows' own bucket: days ingested under another number of buckets would tear a group apart.
    rows = rows.withColumn("bucket", groups.bucket(F.col("group"), workload.features.buckets))
    computed = rows.groupBy("bucket").applyInArrow(of_bucket, from_arrow_schema(schema))
    return without_collation(computed, "group", PARENT_COLUMN, "row_id")


def _with_partition_and_bucket(workload: Workload, rows: DataFrame) -> DataFrame:
    """Add a copy of the rows that a parent samples, under its name; then every row's partition and bucket."""
    slice_days, start = workload.schedule.every, F.lit(workload.schedule.start)
    sampled = F.when(_sampled(workload), F.array(F.lit(False), F.lit(True))).otherwise(F.array(F.lit(False)))
    rows = rows.withColumn("parent", F.explode(sampled))
    rows = rows.withColumn("group", F.when(F.col("parent"), F.col(PARENT_COLUMN)).otherwise(F.col("group"))).drop(
        PARENT_COLUMN
    )
    first = F.date_add(start, (F.floor(F.date_diff(F.col("date"), start) / slice_days) * slice_days).cast("int"))
    bucket = groups.bucket(F.col("group"), workload.features.buckets)
    return rows.withColumns({"partition": first.cast("string"), "bucket": bucket})


def _sampled(workload: Workload) -> Column:
    """Return which rows a parent learns from too: by a hash of the row, so always the same ones."""
    fallback = workload.pack.fallback
    share = fallback.share if isinstance(fallback, Parent) else 0.0
    return F.crc32("row_id") < int(share * 2**32)


def _counts(written: DeltaTable | None, slices: Slices) -> dict[str, Any]:
    """Count what was written, from two columns of its files: a Spark job would take longer to start."""
    if written is None:
        return {"rows": 0, "groups": 0, "parents": 0, "features_version": None}
    within = pc.field("partition").isin([str(first) for first in slices.first_days])
    rows = written.to_pyarrow_dataset().to_table(columns=["group", "parent"], filter=within)
    parents = rows.group_by(["group", "parent"]).aggregate([])["parent"].to_pylist()
    counts = {"rows": rows.num_rows, "groups": parents.count(False), "parents": parents.count(True)}
    return {**counts, "features_version": written.version()}


if __name__ == "__main__":
    main("features", run)
