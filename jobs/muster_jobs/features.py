"""Compute the features of a partition's slices from `observations`, laid out by bucket."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from muster.features.compute import PARENT_COLUMN, row_schema, with_parent_names
from muster.features.content import CONTENT, bucket_content, day_digests, slice_facts
from muster.features.each_group import FeaturesFailed, check_failed, compute_each
from muster.features.files import files_of
from muster.features.made_from import counted
from muster.features.slices import Slices, slices_to_build
from muster.ingest.names import check_row_ids
from muster.ingest.quiet_days import quiet
from muster.outcomes.weighted import HEAVIEST, LIGHTEST
from muster.storage.delta import count_rows
from muster.storage.provenance import write_facts
from muster.storage.tables import FEATURE_ERROR, observations_schema
from muster.training.bins import balance
from muster.workload.functions import function
from muster.workload.spec import Parent, Workload
from muster_jobs import groups
from muster_jobs.collation import without_collation
from muster_jobs.command_line import main
from muster_jobs.job import Job
from muster_jobs.own_code import WithOwnCode


def run(job: Job) -> dict[str, Any]:
    """Build the partition's own slice, and others that are missing or out of date; write down what they are made of."""
    slices = slices_to_build(job.context, lambda: quiet(job.context, job.windows.score))
    built, replaced = (", ".join(f"'{first}'" for first in names) for names in (slices.first_days, slices.replaced))
    rows = (
        _with_partition_and_bucket(job.workload, _compute_features(job, slices))
        .where(f"partition IN ({built})")
        .repartition(job.bins, "bucket")
    )
    # Sorted so, a task writes one file a slice and bucket, and training finds it nearly in the order that it needs.
    rows = rows.sortWithinPartitions("partition", "bucket", "group", "time", "row_id")
    version = job.commit(rows, "features", f"partition IN ({replaced})", _most_rows(job, slices))
    counts, content, asked, errors = _content(job, slices, version)
    for group, error in sorted(errors.items()):
        print(f"features of '{group}' failed: {error}", file=sys.stderr)  # noqa: T201 - the job's log
    facts = slice_facts(slices.sources, slices.first_days, content, version, asked)
    try:
        check_failed(job.workload, errors, counts["groups"])
    except FeaturesFailed:  # written as they are; so they are out of date, and nothing learns from them
        write_facts(job.store, [replace(fact, made_from={**fact.made_from, "function": "failed"}) for fact in facts])
        raise
    write_facts(job.store, facts)
    counts |= {"failed": len(errors), **_without_weight(job, slices)}
    return {"slices": len(slices.first_days), "rebuilt": _rebuilt(job, slices), **counts}


def _without_weight(job: Job, slices: Slices) -> dict[str, int]:
    """Return how many rows were left out, as they have no weight: ingested before it was declared."""
    weight = job.workload.weight
    if weight is None:
        return {}
    rows = _observed(job, slices)
    weighed = F.coalesce(rows[weight].between(LIGHTEST, HEAVIEST), F.lit(False))
    return {"without_weight": rows.where(~weighed).count()}


def _most_rows(job: Job, slices: Slices) -> int | None:
    """Return how many rows the slices have at most: each observation's, and a copy for its parent; None: unknown."""
    observations = job.store.open("observations", slices.sources.version)
    rows = None if observations is None else count_rows(observations, slices.days)
    return None if rows is None else 2 * rows


def _compute_features(job: Job, slices: Slices) -> DataFrame:
    """Run the workload's function on whole groups, a bucket at a time."""
    workload, days = job.workload, slices.days
    own = WithOwnCode(function(workload, job.context.folder, workload.features.function), job.context)

    def of_bucket(rows: pa.Table) -> pa.Table:
        check_row_ids(workload, rows)
        return with_parent_names(workload, compute_each(workload, own, rows.drop_columns("bucket"), days))

    schema = row_schema(workload).append(pa.field(PARENT_COLUMN, pa.string()))
    rows = _observed(job, slices)
    # Not the rows' own group and bucket: days that were ingested under other keys would tear a group apart.
    rows = rows.withColumn("group", groups.name([F.col(key) for key in workload.keys]))
    rows = rows.withColumn("bucket", groups.bucket(F.col("group"), workload.features.buckets))
    computed = rows.groupBy("bucket").applyInArrow(of_bucket, from_arrow_schema(schema))
    return without_collation(computed, "group", PARENT_COLUMN, "row_id", FEATURE_ERROR)


def _observed(job: Job, slices: Slices) -> DataFrame:
    """Return the observations that the slices are made of."""
    version = {"versionAsOf": str(slices.sources.version)}
    rows = job.spark.read.format("delta").options(**version).load(job.store.table("observations"))
    read = [(F.col("date") >= span.start) & (F.col("date") < span.stop) for span in slices.observed]
    return rows.where(reduce(or_, read)).select(*_declared(job.workload, rows), "row_id", "date")


def _declared(workload: Workload, rows: DataFrame) -> list[Column]:
    """Return the declared columns: null where one is so new that no ingest has brought it yet."""
    fields, there = from_arrow_schema(observations_schema(workload)).fields, set(rows.columns)
    types = {field.name: field.dataType for field in fields if field.name in workload.columns}
    return [(F.col(name) if name in there else F.lit(None)).cast(kind).alias(name) for name, kind in types.items()]


def _with_partition_and_bucket(workload: Workload, rows: DataFrame) -> DataFrame:
    """Add a copy of the rows that a parent samples, under its name; then every row's partition and bucket."""
    slice_days, start = workload.schedule.every, F.lit(workload.schedule.start)
    pooled = _sampled(workload) & F.col(FEATURE_ERROR).isNull()  # without features there is nothing to learn from
    sampled = F.when(pooled, F.array(F.lit(False), F.lit(True))).otherwise(F.array(F.lit(False)))
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


def _content(
    job: Job, slices: Slices, version: int
) -> tuple[dict[str, Any], dict[str, str], dict[str, str], dict[str, str]]:
    """Return counts of what was written, day -> its rows' digest, with and without labels, and group -> its error.

    Executors read back what they have written.
    """
    workload, written = job.workload, job.store.open("features", version)
    built = {first.isoformat() for first in slices.first_days}
    files: dict[int, list[str]] = {}
    rows: Counter[int] = Counter()
    for file in files_of(job.context, written, slices.days) if written else ():
        if file.slice in built:
            files.setdefault(file.bucket, []).append(file.path)
            rows[file.bucket] += file.rows
    held = CONTENT.empty_table()
    if files:
        held = job.over_bins(balance(rows, job.bins), lambda bucket: bucket_content(workload, files[bucket]), CONTENT)
    counts = {name: pc.sum(held[name]).as_py() or 0 for name in ("rows", "groups", "parents")}
    errors = {group: error for text in held["errors"].to_pylist() for group, error in json.loads(text).items()}
    counts["features_version"] = version
    days = held["days"].to_pylist()
    return counts, day_digests(days), day_digests(days, labels=False), errors


def _rebuilt(job: Job, slices: Slices) -> dict[str, int]:
    """Return how many slices were built again beside the partition's own, by the reason."""
    return counted(why for first, why in slices.reasons.items() if first != job.windows.partition)


if __name__ == "__main__":
    main("features", run)
