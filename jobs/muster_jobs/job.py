"""What every job shares: its arguments, its Spark session, its result and its end."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import write_deltalake

from muster.context import PartitionContext
from muster.errors import MusterError, UnknownName, WrongArgument
from muster.mlflow import budget
from muster.mlflow.budget import BudgetSpent, muster_errors
from muster.settings import Settings, settings
from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.workload.load import load_workload
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows, partition_windows
from muster_jobs.strings import uncollated

if TYPE_CHECKING:  # a job that asks for no session does not wait for pyspark
    from pyspark.sql import DataFrame, SparkSession

TASKS_PER_CORE = 3
"""Bins planned for a core: enough that an early end is filled, few enough that starting them costs nothing."""

BATCH = 65_536
"""Rows that a worker hands over at once: of predictions, some 10 MB, whatever the size of a bucket."""


@dataclass(frozen=True)
class Job:
    """One stage of one workload, for one partition where it is about one."""

    stage: str
    workload: Workload
    folder: Path
    windows: PartitionWindows | None
    """The partition's dates; None only for a job that its `main` declares to be about no partition."""
    store: Store
    settings: Settings
    attempt: str
    options: Mapping[str, str] = field(default_factory=dict)
    """What was given as `--option name=value`: only names that the job declares."""

    @property
    def context(self) -> PartitionContext:
        """The workload, its store and the partition's dates, for a job that is about a partition."""
        assert self.windows is not None  # noqa: S101 - only a job that is declared so has none
        return PartitionContext(self.workload, self.folder, self.store, self.windows)

    @property
    def tag(self) -> str:
        """The Spark tag that this job's work bears, in every attempt."""
        key = f"-{self.windows.key}" if self.windows else ""
        return f"muster-{self.workload.name}-{self.stage}{key}"

    @property
    def bins(self) -> int:
        """How many tasks a stage over buckets is planned for."""
        return self.settings.spark_cores * TASKS_PER_CORE

    @cached_property
    def spark(self) -> SparkSession:
        """The session: a Connect client where `SPARK_REMOTE` is set, else the one spark-submit made."""
        from muster_jobs.session import connected, submitted

        budget.mark_spark_process()
        remote = os.environ.get("SPARK_REMOTE")
        return connected(remote, f"{self.store.root}/{self.workload.name}", self.tag) if remote else submitted(self.tag)

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        """Make the calls side by side, each in a thread whose Spark work bears the job's tag; return what they return.

        When one raises, the Spark work of the others is stopped and its error raised.
        """
        session = self.spark  # made in this thread: it listens for signals

        def tagged(call: Callable[[], Any]) -> Any:
            session.addTag(self.tag)  # a thread has tags of its own
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(tagged, call) for call in calls]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                session.interruptTag(self.tag)
            failed = [future for future in futures if future in done and future.exception()]
            return [future.result() for future in failed or futures]

    def replace(self, rows: DataFrame | pa.Table, table: str, where: str) -> None:
        """Replace the rows of `table` for which `where` holds with `rows`, in one Delta commit.

        Rows that are here already, one a group, are written from here: 10,000 take 10 ms, and 1.2 s by way of Spark.
        """
        by = TABLES[table].partitioned_by
        if isinstance(rows, pa.Table):
            target = self.store.table(table)
            predicate = where if self.store.open(table) else None
            write_deltalake(target, rows, mode="overwrite", partition_by=list(by) or None, predicate=predicate)
            return
        writer = rows.write.format("delta").mode("overwrite").option("replaceWhere", where)
        (writer.partitionBy(*by) if by else writer).save(self.store.table(table))

    def over_bins(
        self, bins: Sequence[Sequence[int]], function: Callable[[int], pa.Table], schema: pa.Schema
    ) -> pa.Table:
        """Run `function(bucket)` for every bucket, a task a bin, in the order given; return all rows."""
        return self.frame_over_bins(bins, function, schema).toArrow().cast(schema)

    def frame_over_bins(
        self, bins: Sequence[Sequence[int]], function: Callable[[int], pa.Table], schema: pa.Schema
    ) -> DataFrame:
        """Plan `over_bins` without running it: rows that are written go from the executors to the table."""
        from pyspark.sql.pandas.types import from_arrow_schema

        planned = [list(buckets) for buckets in bins]

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    for bucket in planned[number]:
                        yield from function(bucket).cast(schema).combine_chunks().to_batches(BATCH)

        numbers = self.spark.range(0, len(planned), 1, len(planned))
        strings = [field.name for field in schema if pa.types.is_string(field.type)]
        return uncollated(numbers.mapInArrow(run, from_arrow_schema(schema)), *strings)


def main(
    stage: str, run: Callable[[Job], dict[str, Any]], *, partitioned: bool = True, options: Collection[str] = ()
) -> None:
    """Run a job from the command line: arguments in, result file out, one line for bad input.

    A job that MLflow's budget keeps waiting too long writes when to run it again, and why, and ends with code 75.
    A job that is not `partitioned` takes no `--partition`; `options` are the names that its `--option` may have.
    """
    arguments = _parser(stage, partitioned, options).parse_args()
    try:
        workload = load_workload(arguments.workload)
        job = Job(
            stage=stage,
            workload=workload,
            folder=arguments.workload.parent,
            windows=partition_windows(workload, arguments.partition) if partitioned else None,
            store=Store(settings().store_root, workload.name),
            settings=settings(),
            attempt=arguments.attempt,
            options=_options(arguments.option, options),
        )
        started = time.monotonic()
        with muster_errors():
            counts = run(job)
        measured = {"seconds": round(time.monotonic() - started, 3), "mlflow_calls": budget.count()}
    except BudgetSpent as spent:
        _tell({"until": spent.until.isoformat(), "why": spent.why}, arguments.result)
        print(f"later: {spent}", file=sys.stderr)  # noqa: T201 - the log's last line says why it ended
        sys.exit(os.EX_TEMPFAIL)
    except MusterError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - read by whoever started the job
        sys.exit(1 if error.retryable else os.EX_DATAERR)
    _tell({**counts, **measured}, arguments.result)


def _tell(result: dict[str, Any], to: Path | None) -> None:
    """Write a result whole or not at all."""
    text = json.dumps(result, indent=1, default=str)
    if to is None:
        print(text)  # noqa: T201 - run by hand
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_suffix(".tmp")
    part.write_text(text, encoding="utf-8")
    part.replace(to)


def _parser(stage: str, partitioned: bool, options: Collection[str]) -> argparse.ArgumentParser:
    about = f"The {stage} stage of one workload{' for one partition' * partitioned}."
    parser = argparse.ArgumentParser(prog=f"jobs/{stage}.py", description=about, allow_abbrev=False)
    parser.add_argument("--workload", required=True, type=Path, help="the workload's YAML file")
    if partitioned:
        parser.add_argument("--partition", required=True, help="the partition's date, 2013-05-06")
    known = f"one of: {', '.join(options)}" if options else "this job has none"
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help=known)
    parser.add_argument("--attempt", default="by-hand", help="names this attempt in results and logs")
    parser.add_argument("--result", type=Path, help="where the result is written as JSON; printed when left out")
    return parser


def _options(given: Sequence[str], known: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if name not in known:
            raise UnknownName("option", name, known)
        if not equals or name in found:
            raise WrongArgument(f"the option '{text}' is not 'name=value', or '{name}' is given twice")
        found[name] = value
    return found
