"""Evaluate: judge every candidate of a run against the champion, or the baseline, on rows after the training cutoff."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.champions.opened import Champions, opponents
from muster.evaluation.bucket import judge_bucket
from muster.evaluation.candidates import Candidates, judged_candidates, read_candidates
from muster.evaluation.decisions import notes, reconcile, summary
from muster.evaluation.significance import control
from muster.features.files import FeatureFiles, list_features, read_bucket
from muster.features.slices import check_carried
from muster.ingest.quiet_days import quiet
from muster.mlflow import runs
from muster.mlflow.candidates import clear_tags, tagged_candidates
from muster.storage.attempts import RUN
from muster.storage.tables import DECISIONS, carried
from muster.training.bins import balance
from muster_jobs.command_line import main
from muster_jobs.job import Job

ROWS_PER_GROUP = 1_000
"""What a group costs beyond its rows, in rows: loading two models and scoring with them."""


def run(job: Job) -> dict[str, Any]:
    """Judge every group of the partition's ledger, or of a retry, and write `decisions`; return the counts."""
    retry, tagged = job.options.get(RUN) or None, tagged_candidates(job.workload)
    candidates = read_candidates(job.context, tagged, retry)
    check_carried(job.context, candidates.features)
    champions = opponents(job.context, retry)
    days = job.windows.evaluate
    files = list_features(job.context, days, candidates.features, lambda: quiet(job.context, days))
    ledger = candidates.ledger.read()
    job.progress.total = ledger.num_rows
    bins = balance(_costs(ledger, files), job.bins)
    loads = champions.loads if champions else ()
    decisions = job.over_bins(bins, _judge(job, candidates, champions, files), DECISIONS, loads)
    decisions = decisions.sort_by([("bucket", "ascending"), ("group", "ascending")])
    reconcile(job.workload, decisions, ledger)
    decisions = control(decisions, job.workload.gate.false_promotions)
    job.replace(decisions, "decisions", _replaced(job, candidates, retry))
    counts = summary(decisions, job.workload.gate)
    for note in notes(counts, decisions, job.workload.gate):
        print(note, file=sys.stderr)  # noqa: T201 - the job's log
    for algorithm, run_id in candidates.mlflow_runs.items():
        runs.add_metrics(run_id, _gate_metrics(counts) | _algorithm_metrics(decisions, algorithm))
    clear_tags(judged_candidates(job.store, job.windows.key, tagged, candidates.others))
    return {"run": candidates.run or None, **counts, "champion_version": champions.version if champions else None}


def _replaced(job: Job, candidates: Candidates, retry: str | None) -> str:
    """Return which rows the decisions take the place of: those of the partition's other runs stay."""
    where = f"partition = '{job.windows.key}'"
    if retry is not None:
        return f"{where} AND run = '{retry}'"
    others = ", ".join(f"'{run}'" for run in sorted(candidates.others))
    return f"{where} AND run NOT IN ({others})" if others else where


def _judge(
    job: Job, candidates: Candidates, champions: Champions | None, files: FeatureFiles
) -> Callable[[int], pa.Table]:
    """Return the work on one bucket, free of the job: it travels to the executors."""
    workload, days, files_of_models = job.workload, job.windows.evaluate, job.store.files

    def judge(bucket: int) -> pa.Table:
        columns = ["date", "label", *carried(workload), *workload.features.columns]
        rows = read_bucket(workload, files.files.get(bucket, []), days, columns)
        ledger, models = candidates.ledger.read(bucket), candidates.models_of(bucket)
        names = ledger["group"].combine_chunks()
        with champions.open(names.to_pylist()) if champions else nullcontext() as opened:
            incumbents = opened.incumbents(names) if opened else None
            return judge_bucket(workload, rows, ledger, models, files_of_models, incumbents)

    return judge


def _costs(ledger: pa.Table, files: FeatureFiles) -> dict[int, float]:
    """Return the cost of every bucket of the ledger: its rows to judge on, and its groups."""
    group_counts = Counter(ledger["bucket"].to_pylist())
    return {bucket: files.rows.get(bucket, 0) + ROWS_PER_GROUP * count for bucket, count in group_counts.items()}


def _gate_metrics(counts: dict[str, Any]) -> dict[str, float]:
    """Return the gate's numbers as metrics of every MLflow run of the training."""
    return {f"gate_{name}": value for name, value in counts.items() if isinstance(value, int | float)}


def _algorithm_metrics(decisions: pa.Table, algorithm: str) -> dict[str, float]:
    """Return of how many groups the algorithm was chosen, and promoted."""
    verdicts = decisions.filter(pc.field("algorithm") == algorithm)["verdict"].to_pylist()
    return {"gate_chosen": len(verdicts), "gate_chosen_and_promoted": verdicts.count("promote")}


if __name__ == "__main__":
    main("evaluate", run, options=(RUN,))
