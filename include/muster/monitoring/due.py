"""What monitoring a partition reads, from what a partition's rows were made, and which were made from other data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.evaluation.metrics import measure_of
from muster.features.files import FeatureFiles, NoFeatures, list_features
from muster.features.slices import contents
from muster.groups import WILDCARD
from muster.monitoring.bucket import Measuring
from muster.monitoring.judge import Past
from muster.monitoring.judged import days_of
from muster.monitoring.reference import references
from muster.monitoring.rows import Watched, answering_runs, prediction_files, trained_on
from muster.storage.delta import dataset
from muster.storage.provenance import file_digests
from muster.storage.results import ended
from muster.workload.windows import DateRange

SLICES = 12
"""Earlier slices that are remembered, at most."""


def scored_days(context: PartitionContext) -> DateRange:
    """Return the days that are judged together, up to the partition's last."""
    stop = context.windows.score.stop
    return DateRange(stop - timedelta(days=days_of(context.workload)), stop)


def partitions_of(context: PartitionContext, days: DateRange) -> tuple[str, ...]:
    """Return the partitions of some days, the partition's own the last."""
    every = timedelta(days=context.workload.schedule.every)
    count = -(-(days.stop - days.start) // every)
    return tuple((context.windows.partition - every * number).isoformat() for number in reversed(range(count)))


def prepare(context: PartitionContext) -> Measuring | None:
    """Find what is read; None where nothing of the partition was scored, or features have none of it any more."""
    days = scored_days(context)
    own = partitions_of(context, days)
    if not any(file.partition == context.partition for file in prediction_files(context, own)):
        return None
    scored = list_features(context, days, quiet=lambda: True)
    runs = answering_runs(context, own)
    windows = {context.partition: context.windows.train, **{run: trained_on(context.workload, run) for run in runs}}
    earliest = min(date.fromisoformat(run.rpartition("-")[0]) for run in [*runs, f"{context.partition}-"])
    first = max(earliest, context.windows.history.start)
    watched = Watched(
        context.workload,
        context.partition,
        days,
        own,
        windows,
        tuple(prediction_files(context, {*own, *_between(context, first, date.fromisoformat(own[0]))})),
        scored,
        _learnt(context, windows),
    )
    gate = context.workload.gate
    return Measuring(watched, references(context.store, runs, gate.metric, measure_of(gate)))


def _between(context: PartitionContext, first: date, before: date) -> Iterator[str]:
    day = before - timedelta(days=context.workload.schedule.every)
    while day >= first:
        yield day.isoformat()
        day -= timedelta(days=context.workload.schedule.every)


def _learnt(context: PartitionContext, windows: dict[str, DateRange]) -> FeatureFiles | None:
    first, last = min(of.start for of in windows.values()), max(of.stop for of in windows.values())
    try:
        return list_features(context, DateRange(first, last))
    except NoFeatures:
        return None


def scored_today(context: PartitionContext) -> bool:
    """Tell whether a backfill has scored a partition by the present champion, which has learnt from its rows or was
    judged on them: there is nothing to be told by them."""
    last = ended(context.store, "score", context.partition)
    return last is not None and last.report.get("champion") == "today"


def made_from(context: PartitionContext) -> str:
    """Return a digest of all that a partition's rows of `monitoring` are made from, the past left out."""
    days = scored_days(context)
    own, monitor = set(partitions_of(context, days)), context.workload.monitor
    parts: dict[str, Any] = {
        "predictions": {name: of for name, of in file_digests(context.store, "predictions").items() if name in own},
        "features": contents(context, days),
        "monitor": monitor.model_dump(mode="json") if monitor else None,
        "metric": context.workload.gate.metric,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def also_due(context: PartitionContext) -> list[PartitionContext]:
    """Return the earlier partitions of the windows that were made from other data than there are now, or left out.

    None is left out before the first that was monitored: a workload that begins to be watched begins with today.
    """
    table = context.store.open("monitoring")
    if table is None:
        return []
    wanted = (pc.field("group") == WILDCARD) & (pc.field("partition") < context.partition)
    rows = dataset(table).to_table(columns=["partition", "made_from"], filter=wanted).to_pylist()
    known = {row["partition"]: row["made_from"] for row in rows}
    if not known:
        return []
    first = max(date.fromisoformat(min(known)), context.windows.history.start, context.workload.schedule.start)
    scored = {
        file.partition for file in prediction_files(context, set(_between(context, first, context.windows.partition)))
    }
    earlier = [context.at(partition) for partition in sorted(scored)]
    return [one for one in earlier if made_from(one) != known.get(one.partition) and not scored_today(one)]


def past_of(context: PartitionContext) -> Past:
    """Return what `monitoring` has of the slices before a partition, a slice of several partitions only once."""
    table, apart = context.store.open("monitoring"), timedelta(days=days_of(context.workload))
    groups: dict[str, list[tuple[float, float, float]]] = {}
    losses: list[float] = []
    if table is None:
        return Past(groups, losses)
    before = [(context.windows.partition - apart * number).isoformat() for number in range(SLICES, 0, -1)]
    columns = ["partition", "group", "score", "variance_by_row", "labelled", "worse_by"]
    wanted = pc.field("partition").isin(before) & (pc.field("state") == "judged")
    wanted &= pc.field("metric") == context.workload.gate.metric
    rows: pa.Table = dataset(table).to_table(columns=columns, filter=wanted).sort_by("partition")
    for row in rows.to_pylist():
        if row["group"] == WILDCARD:
            losses.append(row["worse_by"])
        else:
            values = row["score"], row["variance_by_row"], row["labelled"]
            groups.setdefault(row["group"], []).append(values)
    return Past(groups, losses)


def monitored(context: PartitionContext, since: Any, partitions: Collection[str]) -> list[dict[str, Any]]:
    """Return the alarms that stand in `monitoring`, of some partitions or written since a moment.

    Of those that were written, only of late partitions: what a backfill has come upon long ago starts no training now.
    """
    table = context.store.open("monitoring")
    if table is None:
        return []
    late = context.windows.partition - timedelta(days=days_of(context.workload) + context.workload.windows.evaluate)
    wanted = pc.is_valid(pc.field("alarm")) & (pc.field("partition") <= context.partition)
    wanted &= pc.field("partition") >= late.isoformat()
    wanted &= (pc.field("at") >= pa.scalar(since)) | pc.field("partition").isin(sorted(partitions))
    columns = ["partition", "group", "alarm", "why", "q_value", "drift_q_value"]
    return list(dataset(table).to_table(columns=columns, filter=wanted).to_pylist())
