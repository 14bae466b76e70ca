"""Promote: move the alias to the next champion pack, as the partition's decisions say. Starts no Spark session."""

from __future__ import annotations

from typing import Any

from jobs.job import Job, main
from muster.approval import BY, VERDICTS, Approval
from muster.promote import promote


def run(job: Job) -> dict[str, Any]:
    """Carry out the partition's decisions."""
    return promote(job.workload, job.store, job.windows, who=job.attempt, approval=Approval.of(job.options))


if __name__ == "__main__":
    main("promote", run, options=(BY, VERDICTS))
