"""What every job shares: its context, its Spark session, its work over buckets and its writing of tables."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from muster.context import Context, PartitionContext
from muster.mlflow import budget
from muster.settings import Settings
from muster.storage.delta import created, marked_version, replace_rows
from muster.storage.store import Store
from muster.storage.tables import TABLES
from muster.training.task_memory import Memory
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows
from muster_jobs.collation import without_collation
from muster_jobs.failures import is_conflict
from muster_jobs.progress import Progress
from muster_jobs.task_memory import of_several_cpus, task_memory

if TYPE_CHECKING:  # a job that uses no session does not wait for pyspark
    from pyspark.sql import DataFrame, Observation, SparkSession

TASKS_PER_CORE = 3
"""Bins planned for a core: enough that an early end is filled, few enough that starting them costs nothing."""

CALLS = "muster_mlflow_calls"
"""The column in which executors' work brings back how many MLflow calls it made."""

FEW_ROWS, FEW_VALUES = 20_000, 1_000_000
"""Rows, and values in them, at most that are brought to the driver: some 20 MB, so any driver takes them."""

BATCH_ROWS = 65_536
"""Rows that a worker hands over at once: of predictions, some 10 MB, whatever the size of a bucket."""


CONFLICTS = Retrying(
    retry=retry_if_exception(is_conflict),
    stop=stop_after_attempt(8),
    wait=wait_random_exponential(multiplier=0.5, max=30),
    reraise=True,
)
"""How a write is tried again that only failed because another was quicker: writes of a run replace its own rows."""


@dataclass(frozen=True)
class Job:
    """One stage of one workload, for one partition where it is about one."""

    stage: str
    context: Context
    """A `PartitionContext`, but for a job that its `main` declares to be about no partition."""
    settings: Settings
    attempt: str
    options: Mapping[str, str] = field(default_factory=dict)
    """What was given as `--option name=value`: only names that the job declares."""
    executors_calls: list[int] = field(default_factory=list)
    """MLflow calls that executors made, a number for each piece of work that was dealt out and has ended."""
    progress: Progress = field(default_factory=Progress)
    """Tells how far the work over buckets is; how much there is in all the stage says, where it knows."""
    _observed: list[Observation] = field(default_factory=list)
    _tasks: list[int] = field(default_factory=list)
    """Of what was planned and has not run, how many tasks."""

    @property
    def workload(self) -> Workload:
        """The context's workload."""
        return self.context.workload

    @property
    def store(self) -> Store:
        """The context's store."""
        return self.context.store

    @property
    def windows(self) -> PartitionWindows | None:
        """The partition's dates; None for a job about no partition."""
        return self.context.windows if isinstance(self.context, PartitionContext) else None

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
        """The session: a Connect client where `SPARK_REMOTE` is set, else that of spark-submit."""
        from muster_jobs.session import connect_session, submitted_session

        budget.mark_spark_process()
        remote = os.environ.get("SPARK_REMOTE") or None
        if remote is None:
            return submitted_session(self.tag)
        return connect_session(remote, f"{self.store.root}/{self.workload.name}", self.tag)

    @cached_property
    def memory(self) -> Memory | None:
        """What memory a task has; None where nobody says."""
        return task_memory(self.spark, self.settings)

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        """Make the calls side by side, each in a thread whose Spark work bears the job's tag; return what they return.

        When one raises, the Spark work of the others is stopped and its error raised.
        """
        session = self.spark  # created in this thread: it listens for signals

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

    def replace(
        self, rows: DataFrame | pa.Table, table: str, where: str, at_most: int | None = None, mark: str | None = None
    ) -> None:
        """Replace the rows of `table` for which `where` holds with `rows`, in one Delta commit.

        Few rows are written from here, 10,000 in 10 ms, where Spark takes a second or two for any commit: those that
        are here already, and those of which there are `at_most` so many, None where that is not known. Where another
        run came first, or made the table in the same moment, it is written again. `mark` is the commit's
        `userMetadata`.
        """
        if not isinstance(rows, pa.Table) and at_most is not None and self._are_few(at_most, table):
            rows = self._brought_here(rows, table)
        if isinstance(rows, pa.Table):
            CONFLICTS(replace_rows, self.store, table, rows, where, mark)
        else:
            CONFLICTS(self._replace_on_spark, rows, table, where, mark)

    def _are_few(self, rows: int, table: str) -> bool:
        return rows <= FEW_ROWS and rows * len(TABLES[table].schema(self.workload)) <= FEW_VALUES

    def commit(self, rows: DataFrame, table: str, where: str, at_most: int | None = None) -> int:
        """Do as `replace`; return the Delta version of this commit, which others' may have followed by now."""
        mark, before = str(uuid.uuid4()), created(self.store, table, TABLES[table].schema(self.workload)).version()
        self.replace(rows, table, where, at_most, mark)
        version = marked_version(self.store, table, mark, before)
        return before if version is None else version  # nothing to write and nothing there: then there is no commit

    def _brought_here(self, rows: DataFrame, table: str) -> pa.Table:
        with self._watched():
            columns, brought = TABLES[table].schema(self.workload), rows.toArrow()
        self._count_calls()
        return brought.cast(pa.schema([columns.field(name) for name in brought.column_names]))

    def _replace_on_spark(self, rows: DataFrame, table: str, where: str, mark: str | None) -> None:
        there = created(self.store, table, TABLES[table].schema(self.workload)).schema().fields
        by, added = TABLES[table].partitioned_by, set(rows.columns) - {field.name for field in there}
        options = {"replaceWhere": where, "mergeSchema": str(bool(added)).lower()}
        marked = {"userMetadata": mark} if mark else {}
        writer = rows.write.format("delta").mode("overwrite").options(**options, **marked)
        with self._watched():
            (writer.partitionBy(*by) if by else writer).save(self.store.table(table))
        self._count_calls()

    def _watched(self) -> AbstractContextManager[None]:
        """Tell of the progress of what was planned, while it runs."""
        return self.progress.watch(self.spark, self._tasks[-1] if self._tasks else None)

    def _count_calls(self) -> None:
        """Add the MLflow calls of what has run by now."""
        while self._observed:
            self.executors_calls.append(self._observed.pop().get["calls"] or 0)

    def over_bins(
        self,
        bins: Sequence[Sequence[int]],
        function: Callable[[int], pa.Table],
        schema: pa.Schema,
        loads: Collection[str] = (),
        cpus: int = 1,
    ) -> pa.Table:
        """Run `function(bucket)` for every bucket, a task a bin, in the order given; return all rows.

        `loads` is what models that it opens may name: the code of champions, not only what the workload declares now.
        `cpus` is how many of an executor's cores a task takes, where a cluster allows tasks to take several.
        """
        planned = self._counted(bins, function, schema, loads, cpus)
        with self.progress.watch(self.spark, len(bins)):
            rows = planned.toArrow()
        self.executors_calls.append(pc.sum(rows[CALLS]).as_py() or 0)
        return rows.select(schema.names).cast(schema)

    def frame_over_bins(
        self,
        bins: Sequence[Sequence[int]],
        function: Callable[[int], pa.Table],
        schema: pa.Schema,
        loads: Collection[str] = (),
    ) -> DataFrame:
        """Plan `over_bins` without running it: many rows that `replace` writes go from the executors to the table."""
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        counted = self._counted(bins, function, schema, loads)
        observation = Observation()  # of the kind that the session is of, which is there by now
        self._observed.append(observation)
        self._tasks.append(len(bins))
        return counted.observe(observation, F.sum(CALLS).alias("calls")).drop(CALLS)

    def _counted(
        self,
        bins: Sequence[Sequence[int]],
        function: Callable[[int], pa.Table],
        schema: pa.Schema,
        loads: Collection[str],
        cpus: int = 1,
    ) -> DataFrame:
        """Plan the work, each bucket's MLflow calls in a column beside its first row."""
        from pyspark.sql.pandas.types import from_arrow_schema

        from muster_jobs.own_code import WithOwnCode  # of pyspark

        counted = schema.append(pa.field(CALLS, pa.int64()))
        buckets_of_task = [list(buckets) for buckets in bins]
        work = WithOwnCode(function, self.context, loads)

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    for bucket in buckets_of_task[number]:
                        before = budget.count()
                        rows = work(bucket).cast(schema)
                        calls = pa.array([budget.count() - before] + [0] * rows.num_rows, pa.int64())
                        rows = rows.append_column(counted.field(CALLS), calls.slice(0, rows.num_rows))
                        yield from rows.combine_chunks().to_batches(BATCH_ROWS)

        tasks = len(buckets_of_task)
        numbers = self.spark.range(0, tasks, 1, max(tasks, 1))
        strings = [field.name for field in schema if pa.types.is_string(field.type)]
        profile = of_several_cpus(self.spark, cpus)
        return without_collation(numbers.mapInArrow(run, from_arrow_schema(counted), profile=profile), *strings)
