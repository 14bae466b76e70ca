"""Bring what has arrived into `observations`, and its bad rows into `quarantine` with the reason."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import reduce
from operator import add
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from muster.errors import WrongArgument, bounded
from muster.ingest.arrivals import day_facts
from muster.ingest.due_days import due_arrivals
from muster.ingest.refusals import check_refused
from muster.ingest.row_checks import BAD_FILE, bad_file_row, check_arrival, checked_schema
from muster.ingest.sources.files import BadFile
from muster.ingest.sources.kind import Arrival
from muster.ingest.sources.kinds import source_of
from muster.storage.evolution import check_observations
from muster.storage.provenance import write_facts
from muster.storage.tables import observations_schema
from muster_jobs.collation import without_collation
from muster_jobs.command_line import main
from muster_jobs.content import day_contents
from muster_jobs.job import BATCH_ROWS, Job

WITHOUT = "without"
"""The option that names days of the slice, with commas between, that are late and that nobody waits for any more."""

FEW_CHARACTERS = 20_000_000
"""In rows that are brought to the driver."""


def run(job: Job) -> dict[str, Any]:
    """Check all that has arrived; write `quarantine`, then `observations`, each in one commit.

    Where a file cannot be taken, neither is written to. `observations` comes last: its days show the next run what is
    ingested, so a crash between the two is repaired by running again. Where too many rows of a day are refused, they
    are in `quarantine`, and `observations` is as before. The option `without` names days that it need not wait for.
    """
    arrived = due_arrivals(job.context, _without(job))  # before it is read: what comes meanwhile is another delivery
    undated = source_of(job.context).undated()
    check_observations(job.workload, job.store.open("observations"))
    days = [arrival.day for arrival in arrived]
    rows = _check_days(job, arrived).persist()
    try:
        reasons_by_day, long = _reasons_by_day(job, rows)
        _check_files(rows, reasons_by_day)
        reasons = sum(reasons_by_day.values(), Counter[str | None]())
        dates = ", ".join(f"'{day}'" for day in days)
        where = f"date IN ({dates})"
        good = reasons.pop(None, 0)
        if reasons or set(days) & job.store.days("quarantine"):
            job.replace(_quarantine_rows(rows), "quarantine", where, at_most=None if long else reasons.total())
        check_refused(job.workload, reasons_by_day)
        observations = _observation_rows(job, rows)
        content = day_contents(observations, [*job.workload.columns, "row_id"])
        version = job.commit(observations.repartition(job.bins, "date"), "observations", where, None if long else good)
        delivered = {arrival.day: arrival.delivery for arrival in arrived}
        write_facts(job.store, day_facts(job.store, delivered, content, version, job.workload.zone))
    finally:
        rows.unpersist()
    counts: dict[str, Any] = {"rows": good + reasons.total(), "accepted": good, "quarantined": reasons.total()}
    if undated:
        counts["undated"] = undated
        print(f"{undated} rows of the source are of no day by '{job.workload.time}'", file=sys.stderr)  # noqa: T201
    files = sum(len(arrival.parts) for arrival in arrived)
    if missing := [str(day) for day in job.windows.score.days() if day not in days]:
        counts["missing"] = missing
        print(f"late, and ingested without: {bounded(missing)}", file=sys.stderr)  # noqa: T201
    return {"days": len(days), "files": files, **counts, "reasons": dict(reasons)}


def _without(job: Job) -> set[date]:
    """Return the days that may be missing.

    Raises:
        WrongArgument: when the option is no list of days.
    """
    try:
        return {date.fromisoformat(day) for day in job.options.get(WITHOUT, "").split(",") if day}
    except ValueError as error:
        raise WrongArgument(f"the option '{WITHOUT}' is no list of days, as 2024-01-08,2024-01-09: {error}") from None


def _check_days(job: Job, arrived: Sequence[Arrival]) -> DataFrame:
    """Read and check what has arrived, a task some days; of a day with a bad file there is one row that says so."""
    context, tasks = job.context, min(job.bins, len(arrived))
    days_of_task = [arrived[number::tasks] for number in range(tasks)]

    def checked_day(arrival: Arrival) -> pa.Table:
        try:
            return check_arrival(context, arrival)
        except BadFile as error:
            return bad_file_row(context.workload, arrival.day, error)

    def check(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for arrival in days_of_task[number]:
                    yield from checked_day(arrival).to_batches(BATCH_ROWS)

    checked = job.spark.range(0, tasks, 1, tasks).mapInArrow(check, from_arrow_schema(checked_schema(job.workload)))
    return without_collation(checked, "file", "row", "reason")


def _check_files(rows: DataFrame, reasons_by_day: Mapping[date, Counter[str | None]]) -> None:
    """Check that every file could be taken.

    Raises:
        BadFile: for the first day of which one could not.
    """
    if bad := [day for day, reasons in reasons_by_day.items() if BAD_FILE in reasons]:
        first = (F.col("observation")["date"] == min(bad)) & (F.col("reason") == BAD_FILE)
        (row,) = rows.where(first).select("file", "row").collect()
        raise BadFile(row["file"], row["row"])


def _reasons_by_day(job: Job, rows: DataFrame) -> tuple[dict[date, Counter[str | None]], bool]:
    """Return how many rows of each day there are by reason, None for the good ones; and whether their texts are so long
    that they are many, whatever their number."""
    columns = [name for name, column in job.workload.columns.items() if column.type == "string"]
    texts = [F.col("row"), *(F.col("observation")[name] for name in columns)]
    length = reduce(add, (F.coalesce(F.length(text), F.lit(0)) for text in texts))
    counts = rows.groupBy(F.col("observation")["date"], "reason").agg(F.count("*"), F.sum(length)).collect()
    by_day: dict[date, Counter[str | None]] = {}
    for day, reason, count, _ in counts:
        by_day.setdefault(day, Counter())[reason] = count
    return by_day, sum(characters for *_, characters in counts) > FEW_CHARACTERS


def _quarantine_rows(rows: DataFrame) -> DataFrame:
    day = F.col("observation")["date"].alias("date")
    return rows.where("reason IS NOT NULL").select(day, "file", "row", "reason")


def _observation_rows(job: Job, rows: DataFrame) -> DataFrame:
    schema = observations_schema(job.workload)
    good = rows.where("reason IS NULL").select(*(F.col("observation")[name].alias(name) for name in schema.names))
    return without_collation(good, *(field.name for field in schema if pa.types.is_string(field.type)))


if __name__ == "__main__":
    main("ingest", run, options=(WITHOUT,))
