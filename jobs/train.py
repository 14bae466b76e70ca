"""Train a model for every group of a partition; write `models` and `ledger`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import cloudpickle

from jobs.job import Job, main
from muster import runs
from muster.feature_files import FeatureFiles, list_features
from muster.training import ledger
from muster.training.bins import balance
from muster.training.bucket import entering, read_entering, train_bucket
from muster.training.entered import groups_entering
from muster.training.fit import Plan, plan
from muster.training.outcomes import OUTCOMES, ledger_rows, models_rows
from muster.training.run_name import run_name
from muster.workload.functions import PREFIX
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows


def run(job: Job) -> dict[str, Any]:
    """Train, reconcile, write; the ledger is written before too many failures fail the run."""
    workload, windows = job.workload, job.windows
    planned = plan(workload, windows, job.folder)
    found = list_features(workload, job.store, entering(windows))
    name = run_name(workload, windows, job.folder, found.content)
    folder = Path(job.store.packs()) / name
    outcomes, entered, _ = job.at_once(
        lambda: _train(job, planned, found, folder),
        lambda: groups_entering(job.store, found.version, entering(windows)),
        runs.connect,  # importing MLflow takes as long as training hundreds of groups
    )
    states = ledger_rows(outcomes, name, windows)
    ledger.reconcile(name, entered, states)
    mlflow_run_id = _mlflow_run(job, name, found.version, states)
    models = models_rows(outcomes, name, windows, _below_root(job, folder), found.version, mlflow_run_id)
    where = f"partition = '{windows.key}'"
    job.replace(models, "models", where)
    job.replace(states, "ledger", where)
    _sweep(folder, models)
    ledger.check_failed(name, states, workload.max_failed)
    return {
        "run": name,
        "groups": states.num_rows,
        **ledger.counts(states),
        "reasons": ledger.reasons(states),
        "features_version": found.version,
        "mlflow_run_id": mlflow_run_id,
    }


def _train(job: Job, planned: Plan, found: FeatureFiles, folder: Path) -> pa.Table:
    """Fit every group: a task a bin of buckets, the costliest bin first."""
    own = sys.modules.get(PREFIX + job.workload.name)
    if own is not None:  # the workers have no such file
        cloudpickle.register_pickle_by_value(own)
    bins = balance(found.rows, job.bins)
    train = partial(_train_bucket, job.workload, job.windows, planned, found.files, folder)
    return job.over_bins(bins, train, OUTCOMES)


def _train_bucket(
    workload: Workload,
    windows: PartitionWindows,
    planned: Plan,
    files: Mapping[int, list[str]],
    folder: Path,
    bucket: int,
) -> pa.Table:
    return train_bucket(planned, read_entering(workload, files[bucket], windows), bucket, folder)


def _mlflow_run(job: Job, name: str, version: int, states: pa.Table) -> str:
    """Write the run's params and counts to MLflow; a number of calls that no number of groups changes."""
    days, workload = job.windows.train, job.workload
    estimator = json.dumps([step.model_dump(mode="json") for step in workload.estimator])
    params = {"estimator": estimator[:6000], "seed": workload.seed, "train_from": days.start, "train_to": days.stop}
    sums = {column: float(pc.sum(states[column]).as_py()) for column in ("rows", "positives", "bytes")}
    metrics = {"groups": float(states.num_rows), **ledger.counts(states), **sums}
    tags = {"muster.partition": job.windows.key, "muster.features_version": str(version)}
    return runs.training_run(workload, name, params, metrics, tags)


def _below_root(job: Job, folder: Path) -> str:
    return str(folder.relative_to(job.settings.store_root))


def _sweep(folder: Path, models: pa.Table) -> None:
    """Remove what a killed task, or an estimator that is not deterministic, left in the run's folder."""
    named = {Path(shard).name for shard in models["shard"].unique().to_pylist()}
    for file in folder.iterdir():
        if file.name not in named:
            file.unlink()


if __name__ == "__main__":
    main("train", run)
