"""Train every group of a partition with every algorithm; write `models` and `ledger`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.features.content import content_of
from muster.features.files import FeatureFiles, list_features
from muster.features.slices import check_up_to_date
from muster.freshness.stale import stale_groups
from muster.ingest.quiet_days import quiet
from muster.mlflow import runs
from muster.mlflow.candidates import CANDIDATE_TAG, MODELS_TAG
from muster.models.vouched import models_digest
from muster.storage.evolution import check_predictions
from muster.storage.files import Files
from muster.storage.store import TableVersion
from muster.training import ledger
from muster.training.bins import balance
from muster.training.bucket import read_run_rows, train_bucket
from muster.training.expected_groups import expected_groups
from muster.training.fit import FitPlan, fit_plan
from muster.training.large_groups import large_groups
from muster.training.outcome_tables import OUTCOMES, fits, ledger_rows, models_rows
from muster.training.preflight import preflight
from muster.training.run_name import run_name
from muster.training.shards_there import check_shards
from muster.training.task_memory import Passes
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Train, reconcile, write; the ledger is written before too many failures fail the run.

    Where nothing happened on any of the run's days, it is a run of no group, and takes the place of an earlier one.
    """
    workload, windows = job.workload, job.windows
    plan = replace(fit_plan(job.context), stale=stale_groups(job.context))
    learnt_from = windows.run
    check_predictions(workload, job.store)  # what would not be scored is not promoted either
    check_up_to_date(job.context, learnt_from)
    features = list_features(job.context, learnt_from, quiet=lambda: quiet(job.context, learnt_from))
    name = run_name(job.context, content_of(job.context, features.version, learnt_from), plan.stale)
    folder = f"{job.store.packs}/{name}"
    expected = expected_groups(job.store, features.version, windows)
    plan = replace(plan, large=large_groups(workload, expected.training_rows))
    ahead = preflight(job.context, expected, plan.large, job.memory)
    print(ahead, file=sys.stderr)  # noqa: T201 - the job's log
    job.progress.total = ahead.groups
    outcomes, _ = job.at_once(
        lambda: _train(job, plan, features, folder, ahead.passes),
        runs.connect,  # importing MLflow takes as long as training hundreds of groups
    )
    ledger_table = ledger_rows(outcomes, name, windows)
    ledger.reconcile(name, expected.rows, ledger_table)
    mlflow_runs = runs.open_runs(workload, name, sorted(workload.algorithms))
    learnt = TableVersion(features.version, features.table)
    models = models_rows(outcomes, name, windows, learnt, mlflow_runs)
    check_shards(job.store.files, folder, models)
    where = f"partition = '{windows.key}'"
    job.replace(models, "models", where)
    job.replace(ledger_table, "ledger", where)
    _remove_unreferenced(job.store.files, folder, models)
    fitted = fits(outcomes)
    for algorithm, run_id in mlflow_runs.items():
        own_fits = fitted.filter(pc.equal(fitted["algorithm"], algorithm))
        digest = models_digest(models.filter(pc.equal(models["algorithm"], algorithm)))
        _close_run(job, run_id, algorithm, name, features.version, ledger_table, own_fits, digest)
    ledger.check_failed(name, ledger_table, workload.max_failed)
    return {
        "run": name,
        **({"why": job.options["why"]} if "why" in job.options else {}),
        "groups": ledger_table.num_rows,
        **ledger.counts(ledger_table),
        **_row_counts(ledger_table),
        **_coverage(job, plan, ledger_table),
        "bytes": pc.sum(ledger_table["bytes"]).as_py() or 0,
        **ahead.as_result(),
        "reasons": ledger.reasons(ledger_table),
        "models": dict(Counter(models["algorithm"].to_pylist())),
        "features_version": features.version,
        "mlflow_run_id": next(iter(mlflow_runs.values())),
    }


def _train(job: Job, plan: FitPlan, features: FeatureFiles, folder: str, passes: Passes) -> pa.Table:
    """Fit every group: a task a bin of buckets, the costliest bin first.

    Buckets that need more memory than a task has come afterwards, in fewer tasks, each of which has more of it.
    """
    train = partial(_train_bucket, job.context, plan, features.files, folder)
    usual = {bucket: rows for bucket, rows in features.rows.items() if bucket not in passes.large}
    outcomes = job.over_bins(balance(usual, job.bins), train, OUTCOMES)
    if not passes.large:
        return outcomes
    large = {bucket: features.rows[bucket] for bucket in passes.large}
    alone = job.over_bins(balance(large, passes.tasks or job.bins), train, OUTCOMES, cpus=passes.cpus)
    return pa.concat_tables([outcomes, alone])


def _train_bucket(
    context: PartitionContext, plan: FitPlan, files: Mapping[int, list[str]], folder: str, bucket: int
) -> pa.Table:
    rows = read_run_rows(context, files[bucket], plan.large)
    return train_bucket(plan, rows, bucket, context.store.files, folder)


def _close_run(
    job: Job,
    run_id: str,
    algorithm: str,
    name: str,
    version: int,
    ledger_table: pa.Table,
    fitted: pa.Table,
    digest: str,
) -> None:
    """Write one algorithm's results to its MLflow run, and tag it as a candidate: the tables hold its models.

    Their `digest` is of what the executors have returned, not of what is in the store by now.
    """
    days, workload = job.windows.train, job.workload
    declared = workload.algorithms[algorithm].model_dump_json(exclude_none=True)
    params = {"algorithm": declared[:6000], "seed": workload.seed, "train_from": days.start, "train_to": days.stop}
    size = float(pc.sum(fitted["length"]).as_py() or 0)
    metrics = {
        "groups": float(ledger_table.num_rows),
        **ledger.counts(fitted),
        **_row_counts(ledger_table),
        "bytes": size,
    }
    tags = {
        runs.RUN_TAG: name,
        runs.ALGORITHM_TAG: algorithm,
        "muster.partition": job.windows.key,
        "muster.features_version": str(version),
        MODELS_TAG: digest,
        CANDIDATE_TAG: job.windows.key,
    }
    runs.close_run(run_id, params, metrics, tags)


def _coverage(job: Job, plan: FitPlan, ledger_table: pa.Table) -> dict[str, float]:
    """Return how many of the run's groups are stale, and the share that is not; nothing where no age is declared."""
    declared = job.workload.freshness
    if declared is None or declared.stale_after is None:
        return {}
    stale = len(plan.stale.keys() & set(ledger_table["group"].to_pylist()))
    return {"stale": stale, "coverage": round(1 - stale / max(ledger_table.num_rows, 1), 4)}


def _row_counts(ledger_table: pa.Table) -> dict[str, int]:
    """Return all groups' labelled rows, those that their models learnt from, and of yes and no the positives."""
    named = ("rows", "learnt", "positives")
    known = [name for name in named if not ledger_table.num_rows or ledger_table[name].null_count == 0]
    return {column: pc.sum(ledger_table[column]).as_py() or 0 for column in known}


def _remove_unreferenced(files: Files, folder: str, models: pa.Table) -> None:
    """Remove what a killed task, or an estimator that is not deterministic, left in the run's folder."""
    named = set(models["shard"].unique().to_pylist())
    for file in [*files.listed(folder), *files.half_written(folder)]:
        if file.path not in named:
            files.delete(file.path)


if __name__ == "__main__":
    main("train", run, options=("why",))
