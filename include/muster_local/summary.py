"""A partition's results, for a person: read from the tables and from the jobs' results."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from muster.context import Context
from muster.printable import number
from muster.settings import command
from muster.storage.attempts import WHOLE, latest, partition_ledger, runs_of
from muster.storage.delta import dataset
from muster.storage.query import NotWritten, read_rows
from muster.storage.row_filter import RowFilter
from muster.storage.store import Store
from muster.training.cadence import DECISIONS
from muster.workload.stages import stage_names
from muster_local.progress import result

Row = dict[str, Any]
VERDICTS = ["verdict", "parent", "metric", "candidate_score", "champion_score", "baseline_score"]
"""The columns of `decisions` that are summed up."""


IN_A_ROW = 3
"""Partitions after which a group that is trained and held each time is worth a look."""


def summary(context: Context, partition: str) -> Table:
    """Return the partition's counts, quality and times as a table of two columns."""
    store = context.store
    title = f"{store.workload} {partition}"
    shown = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    every = partition_ledger(store, partition)
    ledger = latest(every, every).to_pylist()
    decisions = _decisions(store, partition, every)
    results = ((stage, result(store, stage, partition)) for stage in stage_names(context.workload))
    reports = {stage: report for stage, report in results if report}
    if rebuilt := reports.get("features", {}).get("rebuilt"):
        shown.add_row("slices built again", "; ".join(f"{count}: {why}" for why, count in rebuilt.items()))
    if decision := result(store, DECISIONS, partition):
        shown.add_row("trained" if decision["train"] else "not trained", decision["why"])
    if ledger or decisions or not decision:
        shown.add_row("groups", _counts(ledger, "state", ("trained", "skipped", "failed")))
    if retries := runs_of(every).retries:
        retried = len(set(every.filter(pc.field("attempt") > WHOLE)["group"].to_pylist()))
        shown.add_row("retries", f"{len(retries)}, of {number(retried, 'group')} in all")
    if ledger or decisions or not decision:
        shown.add_row("verdicts", _counts(decisions, "verdict", ("promote", "hold", "reject")))
    if decisions and (still_held := held_in_a_row(context, partition)):
        hint = command(f"show {store.workload} decisions --state trained --verdict hold --in-a-row {IN_A_ROW}")
        shown.add_row("held again", f"{still_held:,} trained, and held {IN_A_ROW} times in a row: {hint}")
    judged = reports.get("evaluate", {})
    if 2 * judged.get("baseline_worse_than_chance", 0) > judged.get("judged", 0):
        count = judged["baseline_worse_than_chance"]
        shown.add_row("baseline", f"worse than chance for {count:,} of {judged['judged']:,} groups: choose another")
    if old := judged.get("old_champions"):
        age = f"{context.workload.gate.max_age} days"
        shown.add_row("old champions", f"{old:,} groups' are older than {age}; evaluate's log names them")
    metric = decisions[0]["metric"] if decisions else ""
    for name, values in quality(decisions).items():
        shown.add_row(name, _mean_and_median(metric, values))
    scored = f"{_count(store, 'predictions', partition):,}"
    shown.add_row("rows scored", reports.get("score", {}).get("skipped_because", scored))
    if stale := reports.get("score", {}).get("features_out_of_date"):
        shown.add_row("of features out of date", "; ".join(stale))
    if watched := reports.get("monitor", {}).get("states"):
        states = ", ".join(f"{count:,} {state}" for state, count in watched.items())
        shown.add_row(
            "monitored",
            f"{states}: {reports['monitor']['degraded']:,} degraded, {reports['monitor']['drifted']:,} drifted",
        )
    shown.add_row("seconds", ", ".join(f"{stage} {report.get('seconds', 0):.1f}" for stage, report in reports.items()))
    shown.add_row("MLflow calls", f"{sum(report.get('mlflow_calls', 0) for report in reports.values()):,}")
    return shown


def held_in_a_row(context: Context, partition: str) -> int:
    """Return how many groups were trained and held in this partition and in those before it."""
    wanted = RowFilter(partition, state="trained", verdict="hold", in_a_row=IN_A_ROW)
    try:
        return read_rows(context.workload, context.store, "decisions", wanted, limit=0).total
    except NotWritten:
        return 0


def quality(decisions: list[Row]) -> dict[str, list[float]]:
    """Return the scores of the groups that could be judged: the baseline's, and what answered before and after.

    A group without a champion of its own is answered by the baseline.
    """
    scores: dict[str, list[float]] = {"baseline": [], "champion before": [], "champion after": []}
    for row in decisions:
        candidate, champion, baseline = row["candidate_score"], row["champion_score"], row["baseline_score"]
        before = baseline if champion is None else champion
        if row["parent"] or candidate is None or before is None:
            continue
        after = candidate if row["verdict"] == "promote" else before
        for values, score in zip(scores.values(), (baseline, before, after), strict=True):
            if score is not None:  # a baseline that is no probability has no log loss
                values.append(score)
    return scores


def _mean_and_median(metric: str, values: list[float]) -> str:
    return f"{metric}: mean {statistics.fmean(values):.4f}, median {statistics.median(values):.4f}" if values else "-"


def _counts(rows: list[Row], column: str, order: tuple[str, ...]) -> str:
    counts = Counter(row[column] for row in rows if not row["parent"])
    return ", ".join(f"{counts[value]:,} {value}" for value in order)


def _decisions(store: Store, partition: str, ledger: pa.Table) -> list[Row]:
    """Return each group's decision of its latest attempt that was judged."""
    delta = store.open("decisions")
    if delta is None:
        return []
    wanted = pc.field("partition") == partition
    rows = dataset(delta).to_table(columns=["group", "run", *VERDICTS], filter=wanted)
    return list(latest(rows, ledger).to_pylist())


def _count(store: Store, table: str, partition: str) -> int:
    """Return how many rows a partition has; they are counted where they are."""
    delta = store.open(table)
    return 0 if delta is None else int(dataset(delta).count_rows(pc.field("partition") == partition))
