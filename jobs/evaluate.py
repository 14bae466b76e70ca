"""Evaluate: judge every candidate of a run against the champion, or the baseline, on rows after the training cutoff."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.job import Job, main
from muster import runs
from muster.feature_files import FeatureFiles, list_features, read_bucket
from muster.gate.bucket import judge_bucket
from muster.gate.candidates import Candidates, read_candidates
from muster.gate.decisions import reconcile, summary
from muster.gate.opponent import Opponents, opponents
from muster.tables import DECISIONS
from muster.training.bins import balance

ROWS_OF_A_GROUP = 1_000
"""What a group costs beyond its rows, in rows: loading two models and scoring with them."""


def run(job: Job) -> dict[str, Any]:
    """Judge every group of the partition's ledger and write `decisions`; return the counts."""
    candidates = read_candidates(job.workload, job.store, job.windows)
    champion = opponents(job.workload, job.store, job.windows)
    files = list_features(job.workload, job.store, job.windows.evaluate, candidates.features_version)
    ledger = candidates.ledger.read()
    bins = balance(_costs(ledger, files), job.bins)
    decisions = job.over_bins(bins, _judge(job, candidates, champion, files), DECISIONS)
    decisions = decisions.sort_by([("bucket", "ascending"), ("group", "ascending")])
    reconcile(decisions, ledger)
    job.replace(decisions, "decisions", f"partition = '{job.windows.key}'")
    found = summary(decisions)
    if candidates.mlflow_run_id is not None:
        runs.add_metrics(candidates.mlflow_run_id, _metrics(found))
    return {"run": candidates.run, **found, "champion_version": champion.version if champion else None}


def _judge(
    job: Job, candidates: Candidates, champion: Opponents | None, files: FeatureFiles
) -> Callable[[int], pa.Table]:
    """Return the work on one bucket, free of the job: it travels to the executors."""
    workload, days, root = job.workload, job.windows.evaluate, Path(job.store.root)

    def judge(bucket: int) -> pa.Table:
        rows = read_bucket(workload, files.files.get(bucket, []), days, ["label", *workload.features.columns])
        ledger, models = candidates.ledger.read(bucket), candidates.models.read(bucket)
        return judge_bucket(workload, rows, ledger, models, root, champion.of(ledger["group"]) if champion else None)

    return judge


def _costs(ledger: pa.Table, files: FeatureFiles) -> dict[int, float]:
    """Return the cost of every bucket of the ledger: its rows to judge on, and its groups."""
    entered = Counter(ledger["bucket"].to_pylist())
    return {bucket: files.rows.get(bucket, 0) + ROWS_OF_A_GROUP * count for bucket, count in entered.items()}


def _metrics(found: dict[str, Any]) -> dict[str, float]:
    """Return the gate's numbers as metrics of the MLflow run."""
    return {f"gate_{name}": value for name, value in found.items() if isinstance(value, int | float)}


if __name__ == "__main__":
    main("evaluate", run)
