"""The rows that monitoring looks at: what was answered then, with the features and outcomes of now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.features.files import FeatureFiles, read_bucket
from muster.storage.delta import dataset, parquet_files
from muster.storage.tables import FEATURE_ERROR, PREDICTIONS, carried
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

ROW = ["group", "row_id", "time"]
"""What tells a row from all others."""
ANSWERED = ["score", "fallback", "origin_run", "model_version"]


class PredictionFile(NamedTuple):
    """A file of `predictions`, and which buckets it may have rows of."""

    partition: str
    path: str
    first: int
    last: int


def prediction_files(context: PartitionContext, partitions: Collection[str]) -> list[PredictionFile]:
    """List the files that hold the predictions of some partitions."""
    table, folder = context.store.open("predictions"), context.store.table("predictions")
    if table is None:
        return []
    added = pa.table(table.get_add_actions(flatten=True))
    names = {"partition.partition", "path", "min.bucket", "max.bucket"} & set(added.column_names)
    return [
        PredictionFile(
            item["partition.partition"],
            f"{folder}/{item['path']}",
            -1 if (first := item.get("min.bucket")) is None else first,
            2**31 if (last := item.get("max.bucket")) is None else last,
        )
        for item in sorted(added.select(sorted(names)).to_pylist(), key=lambda item: item["path"])
        if item["partition.partition"] in partitions
    ]


def answering_runs(context: PartitionContext, partitions: Collection[str]) -> set[str]:
    """Return the runs whose models answered in some partitions; read batch by batch, one column."""
    table = context.store.open("predictions")
    runs: set[str] = set()
    if table is not None:
        wanted = pc.field("partition").isin(sorted(partitions))
        for batch in dataset(table).scanner(columns=["origin_run"], filter=wanted).to_batches():
            runs.update(pc.unique(batch.column("origin_run")).drop_null().to_pylist())
    return runs


@dataclass(frozen=True)
class Watched:
    """What is read, bucket by bucket. Plain data: it travels to the executors."""

    workload: Workload
    partition: str
    days: DateRange
    """The scored days that are judged together."""
    partitions: tuple[str, ...]
    """Of these days."""
    windows: dict[str, DateRange]
    """The training window of each run whose models answered, and of the partition's own."""
    answers: tuple[PredictionFile, ...]
    """Of `partitions`, and of those before in which the same models answered."""
    scored: FeatureFiles
    learnt: FeatureFiles | None
    """None where features of no training window are there any more."""

    @property
    def columns(self) -> list[str]:
        """The features that are watched."""
        declared = self.workload.monitor
        return list((declared.columns if declared else ()) or self.workload.features.columns)

    @property
    def blocks(self) -> int:
        """How many stretches of days the training windows are divided into, each as long as the scored days."""
        first = min(window.start for window in self.windows.values())
        return -((first - self.days.start).days // self.length)

    @property
    def length(self) -> int:
        """How many days are judged together."""
        return (self.days.stop - self.days.start).days

    def block(self, day: date) -> int:
        """Return the stretch that a day before the scored ones is in, the latest first."""
        return ((self.days.start - day).days - 1) // self.length


def read_answers(watched: Watched, bucket: int, partitions: Collection[str], columns: Sequence[str]) -> pa.Table:
    """Read what was answered to a bucket's rows in some partitions, `partition` among the columns."""
    schema = pa.schema([field for field in PREDICTIONS if field.name != "partition"])
    schema = pa.schema([*schema, *((name, pa.float64()) for name in watched.workload.outcome.answers)])
    read: list[pa.Table] = []
    for partition in sorted(partitions):
        files = [
            file.path for file in watched.answers if file.partition == partition and file.first <= bucket <= file.last
        ]
        if files:
            rows = parquet_files(files, schema).to_table(columns=list(columns), filter=pc.field("bucket") == bucket)
            read.append(rows.append_column("partition", pa.repeat(partition, rows.num_rows)))
    empty = pa.schema([*(schema.field(name) for name in columns), ("partition", pa.string())]).empty_table()
    return pa.concat_tables([empty, *read])


def scored_rows(watched: Watched, bucket: int) -> pd.DataFrame:
    """Return a bucket's scored rows, sorted by group, time and id: as they were answered, with the features and labels
    that are there by now; `date` is missing where features hold the row no more."""
    workload = watched.workload
    columns = ["group", "row_id", "time", *ANSWERED, *workload.outcome.answers]
    answers = read_answers(watched, bucket, watched.partitions, columns).to_pandas(date_as_object=False)
    names = ["date", "label", *carried(workload), *watched.columns, FEATURE_ERROR]
    files = watched.scored.files.get(bucket, [])
    known = read_bucket(workload, files, watched.days, names, parents=False).to_pandas(date_as_object=False)
    rows: pd.DataFrame = answers.merge(known, "left", ROW)
    return rows.sort_values(ROW, kind="stable", ignore_index=True)


def learnt_rows(watched: Watched, bucket: int) -> pa.Table:
    """Return the rows of all training windows of a bucket, by group."""
    if watched.learnt is None:
        return pa.table({"group": pa.array([], pa.string()), "date": pa.array([], pa.date32())})
    files, names = watched.learnt.files.get(bucket, []), ["date", *watched.columns]
    read = [
        read_bucket(watched.workload, files, days, names, parents=False) for days in _apart(watched.windows.values())
    ]
    return pa.concat_tables(read).sort_by("group") if len(read) > 1 else read[0]


def _apart(windows: Iterable[DateRange]) -> list[DateRange]:
    """Return the days of some ranges as ranges that have no day in common."""
    apart: list[DateRange] = []
    for window in sorted(windows, key=lambda window: window.start):
        if apart and window.start <= apart[-1].stop:
            apart[-1] = DateRange(apart[-1].start, max(apart[-1].stop, window.stop))
        else:
            apart.append(window)
    return apart


def trained_on(workload: Workload, run: str) -> DateRange:
    """Return the training window of a run, by the partition in its name."""
    stop = date.fromisoformat(run.rpartition("-")[0]) - timedelta(days=workload.windows.evaluate)
    return DateRange(stop - timedelta(days=workload.windows.train), stop)
