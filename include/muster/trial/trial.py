"""Try one group: observe, compute, fit, judge, with the functions of the Spark jobs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.champions.in_store import champion_in_store
from muster.context import PartitionContext
from muster.errors import let_through
from muster.evaluation.bucket import Incumbents, judge_bucket
from muster.evaluation.significance import control
from muster.features.compute import compute
from muster.freshness.stale import fresh_from
from muster.ingest.due_days import has_rows
from muster.outcomes.kinds import kind_of
from muster.outcomes.weighted import Weights
from muster.storage.files import Files
from muster.storage.store import TableVersion
from muster.storage.tables import FEATURE_ERROR, SAMPLE_WEIGHT
from muster.training.bucket import train_bucket
from muster.training.estimator import EstimatorFactory
from muster.training.fit import FitPlan, Rows, fit_estimator, fit_plan, new_estimator
from muster.training.outcome_tables import ledger_rows, models_rows
from muster.trial.group_observations import GroupObservations, observe
from muster.trial.point_in_time import PointInTime, check_point_in_time
from muster.workload.functions import function
from muster.workload.own_code import own_code, own_files, place_of
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, PartitionWindows

Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """The result for a group; `training` and `decision` are its rows of `ledger` and `decisions`."""

    workload: Workload
    group: str
    windows: PartitionWindows
    observed: GroupObservations
    features: pa.Table
    """The group's rows of `features` in the train and evaluate windows."""
    point_in_time: PointInTime
    training: Row
    fits: list[Row]
    """The outcome of each algorithm's fit, by name, and its `score` on the evaluate window where it could be judged."""
    failed_at: dict[str, str]
    """By algorithm: file, line and function of an estimator of one's own at which its fit failed."""
    decision: Row
    stale_since: date | None = None
    """The group's last day, where the next run would skip it as stale; None where it would not."""

    def rows(self) -> dict[str, Row]:
        """Return of each window how many rows it has, and what its kind of outcome tells of their labels."""
        windows = {name: getattr(self.windows, name) for name in ("train", "evaluate")}
        return {name: _counts(self.workload, self.features, days) for name, days in windows.items()}

    def summary(self) -> dict[str, Row]:
        """Return each feature's mean, spread, range and share of missing values."""
        declared = self.features.schema.names[self.features.schema.get_field_index("label") + 1 :]
        return {name: _feature_summary(self.features[name].to_numpy()) for name in declared if name != FEATURE_ERROR}


def try_group(context: PartitionContext, group: str) -> Trial:
    """Try one group for one partition; nothing is written to the store.

    The candidate is judged against the champion that the store and its journal tell of: MLflow is not asked.

    Raises:
        BadChampion: when the champion's pack is not the one that was registered.
        OwnCodeFailed: when the workload's feature function raises: with the line.
        WorkloadError: with every problem of the algorithms.
        UnknownGroup, NothingLanded, BadFile, TooManyRefused: as `observe` does.
    """
    workload, windows = context.workload, context.windows
    own = function(workload, context.folder, workload.features.function)
    plan = fit_plan(context)
    observed = observe(context, group, DateRange(windows.observed.start, windows.partition))
    with own_code(workload, context.folder, workload.features.function):
        features = compute(workload, own, observed.rows, windows.run)
        checked = check_point_in_time(workload, own, observed.rows, features)
    champion = champion_in_store(context, group)
    with tempfile.TemporaryDirectory(prefix="muster-try-") as scratch:
        training, fits, decision = _train_and_judge(context, plan, features, Files(scratch), champion)
    failed = {fit["algorithm"] for fit in fits if fit["state"] == "failed"}
    factories = [factory for factory in plan.factories if factory.name in failed]
    failed_at = {
        factory.name: place for factory in factories if (place := _failure_place(context, plan, factory, features))
    }
    stale = _stale_since(context, observed)
    return Trial(workload, group, windows, observed, features, checked, training, fits, failed_at, decision, stale)


def _stale_since(context: PartitionContext, observed: GroupObservations) -> date | None:
    declared, run = context.workload.freshness, context.windows.run
    if declared is None or declared.stale_after is None:
        return None
    landed = {day for day, arrival in observed.to_ingest.items() if has_rows(context, arrival)}
    since = fresh_from(
        (context.store.days("observations") - observed.to_ingest.keys()) | landed, run, declared.stale_after
    )
    days: list[date] = observed.rows["date"].to_pylist()
    last = max((day for day in days if run.start <= day < run.stop), default=None)
    return None if since is None or last is None or last >= since else last


def _train_and_judge(
    context: PartitionContext, plan: FitPlan, features: pa.Table, files: Files, champion: Incumbents | None
) -> tuple[Row, list[Row], Row]:
    """Return the group's row of `ledger`, its fits and its row of `decisions`, from a bucket that holds it alone."""
    workload, windows = context.workload, context.windows
    if features.num_rows == 0:
        skipped = {"state": "skipped", "reason": "no rows in the train and evaluate windows"}
        return skipped, [], {"verdict": "hold", "reason": skipped["reason"], "against": "baseline"}
    bucket = groups.bucket(features["group"][0].as_py(), workload.features.buckets)
    outcomes = train_bucket(plan, features, bucket, files, "shards")
    ledger = ledger_rows(outcomes, "try", windows)
    models = models_rows(outcomes, "try", windows, TableVersion(0), dict.fromkeys(workload.algorithms, ""))
    held_out = features.filter(pc.greater_equal(features["date"], windows.evaluate.start))

    def judged(candidates: pa.Table) -> Row:
        decisions = judge_bucket(workload, held_out, ledger, candidates, files, champion)
        decision: Row = control(decisions, workload.gate.false_promotions).to_pylist()[0]
        return decision

    fields = ("algorithm", "state", "reason", "error_class", "seconds", "length", "params")
    fits = outcomes["fits"][0].as_py()
    own_decisions = {fit["algorithm"]: judged(models.filter(pc.field("algorithm") == fit["algorithm"])) for fit in fits}
    shown = [
        {name: fit[name] for name in fields} | {"score": own_decisions[fit["algorithm"]]["candidate_score"]}
        for fit in fits
    ]
    return ledger.to_pylist()[0], shown, judged(models)


def _failure_place(
    context: PartitionContext, plan: FitPlan, factory: EstimatorFactory, features: pa.Table
) -> str | None:
    """Fit once more, letting the error through, to learn where in an estimator of one's own it failed."""
    rows = features.filter(pc.less(features["date"], plan.train.stop))
    if factory.supervised:
        rows = rows.filter(pa.array(plan.kind.usable(rows["label"].to_numpy())))
    values = np.column_stack([rows[name].to_numpy() for name in plan.columns])
    training_rows = Rows(values, rows["label"].to_numpy(), _weights(context.workload, rows))
    try:
        estimator, _, _ = new_estimator(plan, factory, features["group"][0].as_py(), training_rows)
        with np.errstate(all="ignore"):  # what there is to warn of, the first fit has
            fit_estimator(plan, factory, estimator, training_rows)
    except BaseException as error:
        let_through(error)
        return place_of(error, *own_files(context.workload, context.folder))
    return None


def _counts(workload: Workload, features: pa.Table, days: DateRange) -> Row:
    date = features["date"]
    rows = features.filter(pc.and_(pc.greater_equal(date, days.start), pc.less(date, days.stop)))
    known = rows.filter(pa.array(np.isfinite(rows["label"].to_numpy())))
    counts = {"from": days.start, "to": days.stop, "rows": rows.num_rows}
    return counts | kind_of(workload.outcome).described(known["label"].to_numpy(), _weights(workload, known))


def _weights(workload: Workload, rows: pa.Table) -> Weights:
    return rows[SAMPLE_WEIGHT].to_numpy() if workload.weight else None


def _feature_summary(values: np.ndarray) -> Row:
    known = values[~np.isnan(values)]
    missing = 1 - len(known) / len(values) if len(values) else 0.0
    if len(known) == 0:
        return {"mean": None, "std": None, "min": None, "max": None, "missing": missing}
    with np.errstate(invalid="ignore", over="ignore"):  # of infinite values the mean is one, and the spread is none
        figures = {"mean": known.mean(), "std": known.std(), "min": known.min(), "max": known.max()}
    summary = {name: float(value) if np.isfinite(value) else str(value) for name, value in figures.items()}
    return {**summary, "missing": missing}
