"""Review: what a partition's promotion would change, for a human to approve. Starts no Spark session."""

from __future__ import annotations

import re
from typing import Any

import pyarrow.compute as pc

from muster.mlflow.runs import add_files
from muster.promotion.review import Review, review
from muster.promotion.verdicts import partition_rows
from muster.storage.attempts import RUN
from muster_jobs.command_line import main
from muster_jobs.job import Job

DAG_RUN = "dag_run"
"""The job's option: the run of Airflow that asks, for its result to say so."""


def run(job: Job) -> dict[str, Any]:
    """Return the review; where a human must approve, its plots become artifacts of the MLflow run that it is about."""
    report = review(job.context, job.options.get(RUN) or None)
    fields = {name: getattr(report, name) for name in ("verdicts", "needs_approval", "why", "changed", "markdown")}
    fields |= {DAG_RUN: job.options.get(DAG_RUN), "plots": {}}
    return {**fields, **(_log_plots(job, report) if report.needs_approval else {})}


def _log_plots(job: Job, report: Review) -> dict[str, Any]:
    """Log the plots and return their paths: a page of Airflow shows images of a server, none within its text."""
    models = partition_rows(job.context, "models").filter(pc.field("run") == report.run).sort_by("algorithm")
    run_id = models["mlflow_run_id"][0].as_py()
    paths = {title: f"review/{re.sub('[^a-z]+', '-', title.lower())}.png" for title in report.plots}
    add_files(run_id, {paths[title]: png for title, png in report.plots.items()})
    return {"mlflow_run_id": run_id, "plots": paths}


if __name__ == "__main__":
    main("review", run, options=(DAG_RUN, RUN))
