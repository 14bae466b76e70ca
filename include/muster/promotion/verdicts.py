"""The gate's verdicts on a partition's run, as promotion reads them from `decisions`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.quiet_days import quiet
from muster.storage.attempts import partition_runs
from muster.storage.delta import dataset
from muster.storage.tables import TABLES

Row = Mapping[str, Any]


class NotJudged(MusterError):
    """Raised when a partition has no decisions to carry out."""

    def __init__(self, workload: str, partition: str, why: str) -> None:
        super().__init__(f"{workload} {partition}: {why}; run evaluate for this partition first")


@dataclass(frozen=True)
class Verdicts:
    """What the gate decided for one run."""

    run: str
    """Empty where nothing happened on any of its days, so that there is no group."""
    counts: Mapping[str, int]
    """Groups by verdict."""
    winners: Sequence[Row]
    """The decisions of the groups to promote."""
    champions: frozenset[str | None]
    """The versions that were champion to the gate."""
    common: str = ""
    """The reason that most groups share which did not win."""
    retry: bool = False
    """Whether the run is a retry."""
    others: frozenset[str] = frozenset()
    """The partition's other runs by the ledger: the training and its retries stand side by side."""

    @property
    def digest(self) -> str:
        """Tell these verdicts from others: the run whose models they are about, and which won, by their very bytes."""
        won = sorted(
            (row["group"], row["algorithm"], *([row["candidate_sha256"]] if row["candidate_sha256"] else []))
            for row in self.winners
        )
        return hashlib.sha256(json.dumps([self.run, won]).encode()).hexdigest()[:16]

    @property
    def no_winner(self) -> str:
        """Why no group is promoted, in words."""
        if not self.run:
            return "no group was promoted: nothing happened on the days of the partition's windows"
        counts = f"{self.counts.get('hold', 0):,} held, {self.counts.get('reject', 0):,} rejected"
        return f"no group was promoted: {counts}" + (f", most for '{self.common}'" if self.common else "")

    def table(self) -> pa.Table:
        """Return `group`, `algorithm` and `score` of each model to promote."""
        columns = {"group": "group", "algorithm": "algorithm", "score": "candidate_score"}
        types = {"group": pa.string(), "algorithm": pa.string(), "score": pa.float64()}
        return pa.table(
            {name: pa.array([row[of] for row in self.winners], types[name]) for name, of in columns.items()}
        )


def not_judged(context: PartitionContext, why: str) -> NotJudged:
    """Return the error that a partition cannot be promoted as it stands."""
    return NotJudged(context.workload.name, context.partition, why)


def read_verdicts(context: PartitionContext, retry: str | None = None) -> Verdicts:
    """Return a partition's verdicts: those on the training of all its groups, or on a retry's run.

    Raises:
        NotJudged: when it has no decisions, or those of several trainings.
    """
    rows, known = partition_rows(context, "decisions"), partition_runs(context.store, context.partition)
    rows = rows.filter(
        pc.field("run") == retry if retry else ~pc.field("run").isin(pa.array(known.retries, pa.string()))
    )
    runs = set(rows["run"].to_pylist())
    if not runs and retry is None and quiet(context, context.windows.run):
        return Verdicts("", {}, (), frozenset())
    if len(runs) != 1:
        raise not_judged(context, f"decisions hold {'several values of run' if runs else 'no row of it'}")
    winners = rows.filter(pc.field("verdict") == "promote").to_pylist()
    counts = dict(Counter(rows["verdict"].to_pylist()))
    others = Counter(row["reason"] for row in rows.filter(pc.field("verdict") != "promote").to_pylist())
    [(common, _)] = others.most_common(1) or [("", 0)]
    run, champions = runs.pop(), frozenset(rows["champion_version"].to_pylist())
    return Verdicts(run, counts, winners, champions, common or "", retry is not None, known.all - {run})


def run_models(context: PartitionContext, verdicts: Verdicts) -> pa.Table:
    """Return the rows of `models` of the run that was judged."""
    return partition_rows(context, "models").filter(pc.field("run") == verdicts.run)


def check_as_judged(context: PartitionContext, verdicts: Verdicts, models: pa.Table) -> None:
    """Check that the winners' models are those that were judged.

    An estimator may come to other bytes from the same rows: where train was run again, the run has its name still.

    Raises:
        NotJudged: when any is another.
    """
    columns = (models[name].to_pylist() for name in ("group", "algorithm", "sha256"))
    stored = {(group, algorithm): digest for group, algorithm, digest in zip(*columns, strict=True)}
    judged = {(row["group"], row["algorithm"]): row["candidate_sha256"] for row in verdicts.winners}
    others = [f"'{key[0]}'" for key, digest in judged.items() if digest and stored.get(key, digest) != digest]
    if others:
        raise not_judged(context, f"its run was trained again since, to other models of {bounded(sorted(others))}")


def stored_models(context: PartitionContext, verdicts: Verdicts, models: pa.Table) -> dict[str, Row]:
    """Return each winner's row of its run's `models`, by group.

    Raises:
        NotJudged: when the run has no model of a winner.
    """
    stored = {(row["group"], row["algorithm"]): row for row in models.to_pylist()}
    won = [(row["group"], row["algorithm"]) for row in verdicts.winners]
    if missing := sorted(group for group, algorithm in won if (group, algorithm) not in stored):
        raise not_judged(context, f"its run has no model of {bounded(missing)}")
    return {group: stored[group, algorithm] for group, algorithm in won}


def partition_rows(context: PartitionContext, table: str) -> pa.Table:
    """Return the rows of one partition of a Delta table; a column that an older Muster did not write yet is null.

    Raises:
        NotJudged: when there is no such table yet.
    """
    delta = context.store.open(table)
    if delta is None:
        raise not_judged(context, f"there is no table '{table}'")
    rows = dataset(delta).to_table(filter=pc.field("partition") == context.partition)
    for field in TABLES[table].schema(context.workload):
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows
