"""Housekeeping: remove what nobody needs any more. About no partition; starts no Spark session."""

from __future__ import annotations

from typing import Any

from muster.housekeeping.sweep import sweep
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Sweep the workload's data; with `dry_run` of `true`, only return what would go."""
    return sweep(job.context, job.options.get("dry_run") == "true").report()


if __name__ == "__main__":
    main("housekeeping", run, partitioned=False, options=("dry_run",))
