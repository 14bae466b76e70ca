"""A/A on the real workloads: a rival fitted by the champion's own recipe on a bootstrap of its rows is no better."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from benchmarks.figures import Figure
from muster import groups
from muster.context import Context, PartitionContext
from muster.evaluation.clusters import Clusters
from muster.evaluation.gate_input import asked, rows_by_group
from muster.evaluation.judgement import HeldOut, Judgement, Rival
from muster.evaluation.significance import control
from muster.evaluation.verdict import judge
from muster.features.compute import compute
from muster.ingest.landing import SUFFIX, land
from muster.ingest.row_checks import check_arrival, good_rows
from muster.ingest.sources.kinds import complete_arrivals
from muster.models.scores import scores
from muster.outcomes.kinds import kind_of
from muster.settings import Settings
from muster.storage.tables import DECISIONS, SAMPLE_WEIGHT
from muster.training.fit import FitPlan, Rows, fit_estimator, fit_plan, new_estimator
from muster.workload.functions import function
from muster.workload.windows import partition_windows

WORKLOADS = {"flight_delays": "2013-08-12", "fx_spread": "2015-03-30"}
RIVALS = 5
"""Rivals of each group's champion."""
FEW_DAYS = {"train": 14, "evaluate": 7}


@dataclass(frozen=True)
class Group:
    """A group's training rows, in order of time, and what its models are judged on."""

    name: str
    training: Rows
    features: np.ndarray
    held_out: HeldOut
    days: np.ndarray
    """Of the rows to judge on: (rows,)."""


def rivals(settings: Settings, quick: bool) -> Iterator[Figure]:
    """Yield the share of rivals that the gate promotes, on the days of real data, drawn by day and drawn by row."""
    for name, partition in list(WORKLOADS.items())[: 1 if quick else None]:
        sys.stderr.write(f"rivals of the champions of {name} {partition}\n")
        with tempfile.TemporaryDirectory(prefix="muster-bench-") as home:
            elsewhere = settings.model_copy(update={"home": Path(home), "store": ""})
            context = Context.named(name, elsewhere).at(partition)
            context = _of_few_days(context) if quick else context
            plan, every_group = fit_plan(context), _groups(context)
        if quick:
            every_group = sorted(every_group, key=lambda group: -len(group.training.labels))[:4]
        work = partial(_judged, context, plan)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            judged = [pair for pairs in pool.map(work, every_group, chunksize=4) for pair in pairs]
        for resample in ("day", "row"):
            yield _figure(context, resample, [pair[resample] for pair in judged])


def _of_few_days(context: PartitionContext) -> PartitionContext:
    """Return the context with short windows; all other days that its function might deliver are landed, empty."""
    short = context.workload.windows.model_copy(update=FEW_DAYS)
    workload = context.workload.model_copy(update={"windows": short})
    few = replace(context, workload=workload, windows=partition_windows(workload, context.windows.partition))
    folder, observed = Path(context.store.uri(context.store.landing)), few.windows.observed.days()
    folder.mkdir(parents=True)
    for number in range(-366, 366):
        day = observed[0] + timedelta(days=number)
        if day not in observed:
            (folder / f"{day}{SUFFIX}").touch()
    return few


def _figure(context: PartitionContext, resample: str, judgements: list[Judgement]) -> Figure:
    gate = context.workload.gate
    verdicts = control(decisions_of(judgements), gate.false_promotions)["verdict"].to_pylist()
    plain = sum(judgement.verdict == "promote" for judgement in judgements)
    judged = sum(judgement.verdict != "hold" for judgement in judgements)
    surely = sum((judgement.p_value or 1.0) <= gate.false_promotions for judgement in judgements)
    return Figure(
        f"rivals no better that are promoted, {context.workload.name}, drawn by {resample}",
        verdicts.count("promote") / max(judged, 1),
        "share",
        gate.false_promotions if resample == "day" else None,
        detail=f"{verdicts.count('promote')} of {judged} judged, of {len(judgements) // RIVALS} groups; "
        f"{surely} with a p-value of {gate.false_promotions} or less, {plain} by the win rate alone",
    )


def decisions_of(judgements: list[Judgement]) -> pa.Table:
    """Return what `control` needs of these judgements."""
    fields = ("verdict", "reason", "p_value", "chance_p_value")
    rows = [
        {name: getattr(judgement, name) if name in fields else None for name in DECISIONS.names}
        for judgement in judgements
    ]
    return pa.Table.from_pylist(rows, schema=DECISIONS)


def _groups(context: PartitionContext) -> list[Group]:
    """Return every group of a partition, from the files that the workload's own function lands."""
    workload, windows = context.workload, context.windows
    land(context)
    days = [day for day in windows.observed.days() if day < windows.partition]
    checked = [check_arrival(context, arrival) for arrival in complete_arrivals(context, days).values()]
    observed = good_rows(workload, pa.concat_tables(checked))
    own = function(workload, context.folder, workload.features.function)
    features = compute(workload, own, observed, windows.run)
    before = features.filter(pc.less(features["date"], windows.train.stop))
    after = features.filter(pc.greater_equal(features["date"], windows.evaluate.start))
    usable = after.filter(pa.array(kind_of(workload.outcome).usable(after["label"].to_numpy())))
    result = []
    for name, rows in rows_by_group(workload, after).items():
        own_rows = before.filter(pc.field("group") == name)
        values = np.column_stack([own_rows[column].to_numpy() for column in workload.features.columns])
        weights = None if workload.weight is None else own_rows[SAMPLE_WEIGHT].to_numpy()
        training = Rows(values, own_rows["label"].to_numpy(), weights)
        of_group = usable.filter(pc.field("group") == name)["date"].to_numpy()
        result.append(Group(name, training, asked(workload, name, rows).features, rows.held_out, of_group))
    return result


def _judged(context: PartitionContext, plan: FitPlan, group: Group) -> list[dict[str, Judgement]]:
    """Judge rivals of the group's champion, by both ways of drawing; none where there is nothing to fit."""
    (factory, *_), random = plan.factories, np.random.default_rng(groups.seed(group.name, 1))
    usable = plan.kind.usable(group.training.labels)
    rows = group.training.only(usable) if factory.supervised else group.training
    if len(rows.labels) < plan.min_rows or (factory.supervised and len(np.unique(rows.labels)) < 2):
        return []

    def fitted(chosen: np.ndarray) -> np.ndarray:
        drawn = rows.only(chosen)
        estimator: Any = new_estimator(plan, factory, group.name, drawn)[0]
        fit_estimator(plan, factory, estimator, drawn)
        return scores(estimator, group.features, plan.kind.scale)

    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = group.training.only(np.isfinite(group.training.labels))
        prior = plan.kind.prior(known.labels, known.weights) or 0.0
        champion = Rival("champion", fitted(np.arange(len(rows.labels))), prior)
        results = []
        for number in range(RIVALS):
            chosen = np.sort(random.integers(len(rows.labels), size=len(rows.labels)))
            if factory.supervised and len(np.unique(rows.labels[chosen])) < 2:
                continue
            rival = {"rival": fitted(chosen)}
            results.append({how: _verdict(context, group, how, rival, champion, number) for how in ("day", "row")})
        return results


def _verdict(
    context: PartitionContext, group: Group, how: str, rival: dict[str, np.ndarray], champion: Rival, number: int
) -> Judgement:
    gate = context.workload.gate.model_copy(update={"resample": how})
    weights = group.held_out.clusters.weights
    clusters = Clusters.rows(len(group.days), weights) if how == "row" else Clusters.equal(group.days, weights)
    rows = replace(group.held_out, clusters=clusters)
    return judge(rows, rival, champion, gate, groups.seed(group.name, number))
