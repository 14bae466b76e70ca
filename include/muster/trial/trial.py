"""Try one group: observe, compute, fit, judge, with the functions of the Spark jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.errors import MusterError
from muster.evaluation.bucket import judge_bucket
from muster.evaluation.significance import control
from muster.features.compute import FeatureFunction, compute
from muster.storage.store import Store
from muster.training.bucket import train_bucket
from muster.training.estimator import Recipe
from muster.training.fit import Plan, Rows, learn, made, plan
from muster.training.outcome_tables import ledger_rows, models_rows
from muster.trial.observed import Observed, observe
from muster.trial.own_code import OwnCodeFailed, estimator_files, place_of
from muster.trial.point_in_time import PointInTime, check_point_in_time
from muster.workload.functions import function
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, PartitionWindows

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What came of a group; `training` and `decision` are its rows of `ledger` and `decisions`."""

    group: str
    windows: PartitionWindows
    observed: Observed
    features: pa.Table
    """The group's rows of `features` in the train and evaluate windows."""
    point_in_time: PointInTime
    training: Row
    fits: list[Row]
    """How each algorithm's fit ended, by name, and its `score` on the evaluate window where it could be judged."""
    failed_at: dict[str, str]
    """By algorithm: file, line and function of an estimator of one's own at which its fit failed."""
    decision: Row

    def rows(self) -> dict[str, Row]:
        """Return rows, labelled rows and positives of each window."""
        return {name: _counts(self.features, getattr(self.windows, name)) for name in ("train", "evaluate")}

    def summary(self) -> dict[str, Row]:
        """Return each feature's mean, spread, range and share of missing values."""
        declared = self.features.schema.names[self.features.schema.get_field_index("label") + 1 :]
        return {name: _described(self.features[name].to_numpy()) for name in declared}


def try_group(workload: Workload, folder: Path, store: Store, windows: PartitionWindows, group: str) -> Trial:
    """Try one group for one partition; nothing is written to the store.

    There is no MLflow to ask for a champion, so the candidate is judged against the declared baseline.

    Raises:
        OwnCodeFailed: when the workload's feature function raises: with the line.
        WorkloadError: with every problem of the algorithms.
        UnknownGroup, NothingLanded, BadFile: as `observe` does.
    """
    own = function(workload, folder, workload.features.function)
    planned = plan(workload, windows, folder)
    observed = observe(workload, store, group, DateRange(windows.observed.start, windows.partition))
    days = DateRange(windows.train.start, windows.partition)
    features = _guarded(own, lambda: compute(workload, own, observed.rows, days))
    checked = _guarded(own, lambda: check_point_in_time(workload, own, observed.rows, features))
    with tempfile.TemporaryDirectory(prefix="muster-try-") as scratch:
        training, fits, decision = _train_and_judge(workload, planned, windows, features, Path(scratch))
    failed = {fit["algorithm"] for fit in fits if fit["state"] == "failed"}
    again = [recipe for recipe in planned.recipes if recipe.name in failed]
    failed_at = {recipe.name: place for recipe in again if (place := _place(workload, planned, recipe, features))}
    return Trial(group, windows, observed, features, checked, training, fits, failed_at, decision)


def _guarded(own: FeatureFunction, work: Callable[[], T]) -> T:
    try:
        return work()
    except MusterError:
        raise
    except Exception as error:
        raise OwnCodeFailed(own, error) from error


def _train_and_judge(
    workload: Workload, planned: Plan, windows: PartitionWindows, features: pa.Table, root: Path
) -> tuple[Row, list[Row], Row]:
    """Return the group's row of `ledger`, its fits and its row of `decisions`, from a bucket that holds it alone."""
    if features.num_rows == 0:
        nothing = {"state": "skipped", "reason": "no rows in the train and evaluate windows"}
        return nothing, [], {"verdict": "hold", "reason": nothing["reason"], "against": "baseline"}
    bucket = groups.bucket(features["group"][0].as_py(), workload.features.buckets)
    outcomes = train_bucket(planned, features, bucket, root)
    ledger = ledger_rows(outcomes, "try", windows)
    models = models_rows(outcomes, "try", windows, ".", 0, dict.fromkeys(workload.algorithms, ""))
    held_out = features.filter(pc.greater_equal(features["date"], windows.evaluate.start))

    def judged(candidates: pa.Table) -> Row:
        decisions = judge_bucket(workload, held_out, ledger, candidates, root, None)
        decision: Row = control(decisions, workload.gate.false_promotions).to_pylist()[0]
        return decision

    told = ("algorithm", "state", "reason", "error_class", "seconds", "length", "params")
    fits = outcomes["fits"][0].as_py()
    alone = {fit["algorithm"]: judged(models.filter(pc.field("algorithm") == fit["algorithm"])) for fit in fits}
    shown = [{name: fit[name] for name in told} | {"score": alone[fit["algorithm"]]["candidate_score"]} for fit in fits]
    return ledger.to_pylist()[0], shown, judged(models)


def _place(workload: Workload, planned: Plan, recipe: Recipe, features: pa.Table) -> str | None:
    """Fit once more without the net, to learn where in an estimator of one's own it failed."""
    rows = features.filter(pc.less(features["date"], planned.train.stop))
    if recipe.supervised:
        rows = rows.filter(pc.is_finite(rows["label"]))
    values = np.column_stack([rows[name].to_numpy() for name in planned.columns])
    learnt = Rows(values, rows["label"].to_numpy())
    try:
        learn(recipe, made(planned, recipe, features["group"][0].as_py(), learnt)[0], learnt)
    except (Exception, SystemExit) as error:
        return place_of(error, *estimator_files(workload))
    return None


def _counts(features: pa.Table, days: DateRange) -> Row:
    date, label = features["date"], features["label"]
    within = pc.and_(pc.greater_equal(date, days.start), pc.less(date, days.stop))
    labels = label.filter(within).to_numpy()
    labelled = int(np.isfinite(labels).sum())
    positives = int(np.nansum(labels))
    return {"from": days.start, "to": days.stop, "rows": len(labels), "labelled": labelled, "positives": positives}


def _described(values: np.ndarray) -> Row:
    known = values[~np.isnan(values)]
    missing = 1 - len(known) / len(values) if len(values) else 0.0
    if len(known) == 0:
        return {"mean": None, "std": None, "min": None, "max": None, "missing": missing}
    found = {"mean": known.mean(), "std": known.std(), "min": known.min(), "max": known.max()}
    told = {name: float(value) if np.isfinite(value) else str(value) for name, value in found.items()}
    return {**told, "missing": missing}
