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
from muster.features import FeatureFunction, compute
from muster.gate.bucket import judge_bucket
from muster.tables import Store
from muster.training.bucket import train_bucket
from muster.training.fit import Plan, plan
from muster.training.outcomes import ledger_rows, models_rows
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
    failed_at: str | None
    """File, line and function of an estimator of one's own at which the training failed."""
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
        WorkloadError: with every problem of the estimator.
        UnknownGroup, NothingLanded, BadFile: as `observe` does.
    """
    own = function(workload, folder, workload.features.function)
    planned = plan(workload, windows, folder)
    observed = observe(workload, store, group, DateRange(windows.observed.start, windows.partition))
    days = DateRange(windows.train.start, windows.partition)
    features = _guarded(own, lambda: compute(workload, own, observed.rows, days))
    checked = _guarded(own, lambda: check_point_in_time(workload, own, observed.rows, features))
    with tempfile.TemporaryDirectory(prefix="muster-try-") as scratch:
        training, decision = _train_and_judge(workload, planned, windows, features, Path(scratch))
    failed_at = _failed_at(workload, planned, group, features) if training["state"] == "failed" else None
    return Trial(group, windows, observed, features, checked, training, failed_at, decision)


def _guarded(own: FeatureFunction, work: Callable[[], T]) -> T:
    try:
        return work()
    except MusterError:
        raise
    except Exception as error:
        raise OwnCodeFailed(own, error) from error


def _train_and_judge(
    workload: Workload, planned: Plan, windows: PartitionWindows, features: pa.Table, root: Path
) -> tuple[Row, Row]:
    """Return the group's rows of `ledger` and `decisions`, from a bucket that holds it alone."""
    if features.num_rows == 0:
        nothing = {"state": "skipped", "reason": "no rows in the train and evaluate windows"}
        return nothing, {"verdict": "hold", "reason": nothing["reason"], "against": "baseline"}
    bucket = groups.bucket(features["group"][0].as_py(), workload.features.buckets)
    outcomes = train_bucket(planned, features, bucket, root)
    ledger = ledger_rows(outcomes, "try", windows)
    models = models_rows(outcomes, "try", windows, ".", 0, "")
    held_out = features.filter(pc.greater_equal(features["date"], windows.evaluate.start))
    decisions = judge_bucket(workload, held_out, ledger, models, root, None)
    return ledger.to_pylist()[0], decisions.to_pylist()[0]


def _failed_at(workload: Workload, planned: Plan, group: str, features: pa.Table) -> str | None:
    """Fit once more without the net, to learn where in an estimator of one's own it failed."""
    rows = features.filter(pc.less(features["date"], planned.train.stop))
    rows = rows.filter(pc.is_finite(rows["label"]))
    values = np.column_stack([rows[name].to_numpy() for name in planned.columns])
    try:
        estimator = planned.recipe.make(groups.seed(group, planned.seed))
        estimator.fit(values, rows["label"].to_numpy().astype(np.int64))
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
