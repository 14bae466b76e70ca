"""Train every group of a partition with every algorithm, or a retry's alone; write `models` and `ledger`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.context import PartitionContext
from muster.features.content import content_of
from muster.features.files import FeatureFiles, list_features
from muster.features.slices import check_up_to_date
from muster.freshness.stale import stale_groups
from muster.ingest.quiet_days import quiet
from muster.mlflow import runs
from muster.mlflow.candidates import CANDIDATE_TAG, MODELS_TAG
from muster.models.vouched import models_digest
from muster.storage.attempts import WHOLE, latest
from muster.storage.evolution import check_predictions
from muster.storage.files import Files
from muster.storage.results import ATTEMPT
from muster.storage.store import TableVersion
from muster.training import ledger
from muster.training.bins import balance
from muster.training.bucket import read_run_rows, train_bucket
from muster.training.expected_groups import expected_groups
from muster.training.fit import FitPlan, fit_plan
from muster.training.large_groups import large_groups
from muster.training.outcome_tables import OUTCOMES, fits, ledger_rows, models_rows
from muster.training.preflight import preflight
from muster.training.retry import RETRY, WHY, Attempts, asked_groups, check_same_training, chosen_groups, read_attempts
from muster.training.run_name import run_name
from muster.training.shards_there import check_shards
from muster.training.task_memory import Passes
from muster_jobs.command_line import main
from muster_jobs.job import Job


@dataclass(frozen=True)
class Run:
    """What is trained, and where it is written."""

    name: str
    plan: FitPlan
    features: FeatureFiles
    where: str
    """The rows of `models` and `ledger` that its own take the place of."""
    attempt: int = WHOLE
    groups: frozenset[str] | None = None
    """A retry's; None: every group."""
    before: Attempts | None = None
    """What a retry was made of."""

    def tags(self, why: str | None) -> dict[str, str]:
        """Return what is told of a retry in MLflow: of which training it is one, and what was mended."""
        if self.before is None:
            return {}
        return {"muster.retry_of": str(self.before.runs.whole)} | ({"muster.why": why} if why else {})


def run(job: Job) -> dict[str, Any]:
    """Train, reconcile, write; the ledger is written before too many failures fail the run.

    Where nothing happened on any of the run's days, it is a run of no group, and takes the place of an earlier one.
    """
    check_predictions(job.workload, job.store)  # what would not be scored is not promoted either
    check_up_to_date(job.context, job.windows.run)
    this = _retry(job) if job.options.get(RETRY) else _whole(job)
    return this if isinstance(this, dict) else _trained(job, this)


def _whole(job: Job) -> Run:
    days = job.windows.run
    plan = replace(fit_plan(job.context), stale=stale_groups(job.context))
    features = list_features(job.context, days, quiet=lambda: quiet(job.context, days))
    name = run_name(job.context, content_of(job.context, features.version, days), plan.stale)
    return Run(name, plan, features, f"partition = '{job.windows.key}'")


def _retry(job: Job) -> Run | dict[str, Any]:
    """Return the retry's run; or, where nothing is to be trained, the result: that of the last retry, if there is one.

    A retry's stages follow then as they would: what they have done already, they leave as it is.
    """
    days, plan = job.windows.run, fit_plan(job.context)
    features = list_features(job.context, days, quiet=lambda: quiet(job.context, days))
    attempts = read_attempts(job.context, features.version)
    content = content_of(job.context, features.version, days)
    named = asked_groups(job.options[RETRY])
    chosen = chosen_groups(job.context, attempts, named, lambda names: run_name(job.context, content, (), names))
    if not chosen:
        nothing = "no group of the partition failed, was stale or came late: nothing to retry"
        last = attempts.runs.retries[-1:]
        return (
            {"run": last[0], ATTEMPT: None, "groups": 0, "nothing": nothing} if last else {"skipped_because": nothing}
        )
    name = run_name(job.context, content, (), chosen)
    own = features.of_buckets({groups.bucket(group, job.workload.features.buckets) for group in chosen})
    where = f"partition = '{job.windows.key}' AND run = '{name}'"
    return Run(name, plan, own, where, attempts.next_attempt(name), chosen, attempts)


def _trained(job: Job, this: Run) -> dict[str, Any]:
    workload, windows, name, features = job.workload, job.windows, this.name, this.features
    folder = f"{job.store.packs}/{name}"
    expected = expected_groups(job.store, features.version, windows).of(this.groups)
    plan = replace(this.plan, large=large_groups(workload, expected.training_rows))
    ahead = preflight(job.context, expected, plan.large, job.memory)
    print(ahead, file=sys.stderr)  # noqa: T201 - the job's log
    job.progress.total = ahead.groups
    outcomes, _ = job.at_once(
        lambda: _train(job, replace(this, plan=plan), folder, ahead.passes),
        runs.connect,  # importing MLflow takes as long as training hundreds of groups
    )
    ledger_table = ledger_rows(outcomes, name, windows, this.attempt)
    ledger.reconcile(name, expected.rows, ledger_table)
    mlflow_runs = runs.open_runs(workload, name, sorted(workload.algorithms))
    learnt = TableVersion(features.version, features.table)
    models = models_rows(outcomes, name, windows, learnt, mlflow_runs)
    check_shards(job.store.files, folder, models)
    if this.before is not None:
        check_same_training(job.context, this.before)
    job.replace(models, "models", this.where)
    if this.before is None:
        job.replace(ledger_table, "ledger", this.where)
    _remove_unreferenced(job.store.files, folder, models)
    fitted = fits(outcomes)
    for algorithm, run_id in mlflow_runs.items():
        own_fits = fitted.filter(pc.equal(fitted["algorithm"], algorithm))
        digest = models_digest(models.filter(pc.equal(models["algorithm"], algorithm)))
        _close_run(job, run_id, algorithm, this, ledger_table, own_fits, digest)
    partition_rows = ledger_table
    if this.before is not None:  # by its rows of the ledger a retry is done: until then the groups are due as before
        job.replace(ledger_table, "ledger", this.where)
        others = this.before.ledger.filter(pc.field("run") != name)
        every = pa.concat_tables([others, ledger_table.select(others.schema.names)])
        partition_rows = latest(every, every)
    ledger.check_failed(name, partition_rows, workload.max_failed)
    return {
        "run": name,
        **({"why": job.options[WHY]} if WHY in job.options else {}),
        **({} if this.before is None else {ATTEMPT: this.attempt}),
        "groups": ledger_table.num_rows,
        **ledger.counts(ledger_table),
        **_row_counts(ledger_table),
        **_coverage(job, this.plan, ledger_table),
        "bytes": pc.sum(ledger_table["bytes"]).as_py() or 0,
        **ahead.as_result(),
        "reasons": ledger.reasons(ledger_table),
        "models": dict(Counter(models["algorithm"].to_pylist())),
        "features_version": features.version,
        "mlflow_run_id": next(iter(mlflow_runs.values())),
    }


def _train(job: Job, this: Run, folder: str, passes: Passes) -> pa.Table:
    """Fit every group: a task a bin of buckets, the costliest bin first.

    Buckets that need more memory than a task has come afterwards, in fewer tasks, each of which has more of it.
    """
    train = partial(_train_bucket, job.context, this.plan, this.features.files, folder, this.groups)
    usual = {bucket: rows for bucket, rows in this.features.rows.items() if bucket not in passes.large}
    outcomes = job.over_bins(balance(usual, job.bins), train, OUTCOMES)
    if not passes.large:
        return outcomes
    large = {bucket: this.features.rows[bucket] for bucket in passes.large}
    alone = job.over_bins(balance(large, passes.tasks or job.bins), train, OUTCOMES, cpus=passes.cpus)
    return pa.concat_tables([outcomes, alone])


def _train_bucket(
    context: PartitionContext,
    plan: FitPlan,
    files: Mapping[int, list[str]],
    folder: str,
    only: frozenset[str] | None,
    bucket: int,
) -> pa.Table:
    rows = read_run_rows(context, files[bucket], plan.large, only)
    return train_bucket(plan, rows, bucket, context.store.files, folder)


def _close_run(
    job: Job,
    run_id: str,
    algorithm: str,
    this: Run,
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
        runs.RUN_TAG: this.name,
        runs.ALGORITHM_TAG: algorithm,
        "muster.partition": job.windows.key,
        "muster.features_version": str(this.features.version),
        **this.tags(job.options.get(WHY)),
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
    main("train", run, options=(RETRY, WHY))
