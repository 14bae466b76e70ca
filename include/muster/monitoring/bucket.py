"""Measure every group of one bucket: what its champion's answers were worth, and how its columns have drifted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from muster.features.files import group_slices
from muster.monitoring.drift import BINS, Binned, Drift, binned, compared
from muster.monitoring.judged import judged_outcome
from muster.monitoring.reference import References
from muster.monitoring.rows import Watched, learnt_rows, read_answers, scored_rows
from muster.storage.tables import FEATURE_ERROR

FLOATS = (
    "fallback", "score", "score_of_all", "by_cluster", "by_row", "size", "units", "reference_score",
    "reference_variance", "reference_freedom", "margin", "bias", "slope", "coverage",
)  # fmt: skip
COUNTS = ("rows", "own", "labelled", "gone")
MEASURED = pa.schema(
    [
        *((name, pa.string()) for name in ("group", "state", "reason", "origin_run", "model_version")),
        ("bucket", pa.int32()),
        *((name, pa.int64()) for name in COUNTS),
        *((name, pa.float64()) for name in FLOATS),
        ("without_day", pa.list_(pa.float64())),
        *((f"drift_{name}", pa.list_(pa.float32())) for name in Drift._fields),
        ("counts", pa.list_(pa.int64())),
    ]
)
"""What is known of a group, before all groups are judged. `drift_...`: of each watched column, then of the scores.
A row without a group has the counts of all the bucket's groups, for all of them together."""


@dataclass(frozen=True)
class Measuring:
    """What a bucket's groups are measured by. Plain data: it travels to the executors."""

    watched: Watched
    references: References


def measure_bucket(measuring: Measuring, bucket: int) -> pa.Table:
    """Return a row of `MEASURED` for each group with scored rows, and one for all of them together."""
    watched = measuring.watched
    rows = scored_rows(watched, bucket)
    if not len(rows):
        return MEASURED.empty_table()
    learnt = _Learnt(watched, bucket)
    total: list[Binned] = [_nothing(watched.blocks, len(watched.columns)), _nothing(watched.blocks, 1)]
    measured = []
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metrics that are undefined without a day
        for group, own in rows.groupby("group", sort=True):
            group = str(group)
            outcome = judged_outcome(watched, group, own, measuring.references)
            run = outcome["origin_run"] or watched.partition
            parts = [learnt.features(group, own, run), learnt.scores(group, own, run)]
            total = [before.plus(part) for before, part in zip(total, parts, strict=True)]
            drifts = zip(*(compared(part) for part in parts), strict=True)
            named = zip(Drift._fields, drifts, strict=True)
            columns = {f"drift_{name}": np.concatenate(values).tolist() for name, values in named}
            measured.append({"group": group, "bucket": bucket, **outcome, **columns})
    counts = np.concatenate([part.ravel() for binned in total for part in binned])
    return pa.Table.from_pylist([*measured, {"bucket": bucket, "counts": counts.tolist()}], schema=MEASURED)


def _nothing(blocks: int, columns: int) -> Binned:
    return Binned(np.zeros((blocks, columns, BINS + 1), np.int64), np.zeros((columns, BINS + 1), np.int64))


def counted_together(watched: Watched, counts: np.ndarray) -> list[Binned]:
    """Return the counts of all groups together, of the features and of the scores, from the rows without a group."""
    parts, taken = [], 0
    for columns in (len(watched.columns), 1):
        both = []
        for shape in ((watched.blocks, columns, BINS + 1), (columns, BINS + 1)):
            both.append(counts[taken : taken + int(np.prod(shape))].reshape(shape))
            taken += int(np.prod(shape))
        parts.append(Binned(*both))
    return parts


class _Learnt:
    """The rows that models learnt from, and what the same models answered before: a bucket's, by group."""

    def __init__(self, watched: Watched, bucket: int) -> None:
        self.watched = watched
        rows = learnt_rows(watched, bucket)
        self.days = rows["date"].to_numpy().astype("datetime64[D]")
        there = rows.num_rows > 0
        columns = [rows[name].to_numpy() for name in watched.columns] if there else []
        self.matrix = np.column_stack(columns) if there else np.empty((0, len(watched.columns)))
        self.places = {group: (start, stop) for group, start, stop in group_slices(rows)}
        before = sorted({file.partition for file in watched.answers} - set(watched.partitions))
        answers = read_answers(watched, bucket, before, ["group", "score", "origin_run"]).to_pandas()
        self.answers = dict(iter(answers.dropna(subset=["score"]).groupby("group"))) if len(answers) else {}

    def features(self, group: str, own: pd.DataFrame, run: str) -> Binned:
        """Count the features of now, and of the training window of a run."""
        watched = self.watched
        known = own[own["date"].notna() & own[FEATURE_ERROR].isna()]
        start, stop = self.places.get(group, (0, 0))
        window, days = watched.windows.get(run), self.days[start:stop]
        if window is None:
            return _nothing(watched.blocks, len(watched.columns))
        within = (days >= np.datetime64(window.start)) & (days < np.datetime64(window.stop))
        if not within.any():  # a group that is new has drifted from nothing, and tells nothing of all together
            return _nothing(watched.blocks, len(watched.columns))
        blocks = (np.datetime64(watched.days.start) - days[within]).astype(np.intp) - 1
        now = known[watched.columns].to_numpy(np.float64)
        return binned(self.matrix[start:stop][within], blocks // watched.length, watched.blocks, now)

    def scores(self, group: str, own: pd.DataFrame, run: str) -> Binned:
        """Count the scores of now that a run's model gave, and those that it gave in earlier partitions."""
        watched, before = self.watched, self.answers.get(group)
        if before is None or not (before["origin_run"] == run).any():
            return _nothing(watched.blocks, 1)
        before = before[before["origin_run"] == run]
        blocks = before["partition"].map(_blocks(watched, before["partition"])).to_numpy(np.intp)
        now = own.loc[own["score"].notna() & (own["origin_run"] == run), ["score"]].to_numpy(np.float64)
        return binned(before[["score"]].to_numpy(np.float64), blocks, watched.blocks, now)


def _blocks(watched: Watched, partitions: pd.Series) -> dict[str, int]:
    from datetime import date

    return {name: watched.block(date.fromisoformat(name)) for name in partitions.unique()}


def drift_columns(measured: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yield each field of `Drift` of some measured groups: (groups, columns)."""
    for name in Drift._fields:
        values = measured[f"drift_{name}"].combine_chunks()
        yield name, values.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(measured.num_rows, -1)
