"""Promote: move the alias, or each group's own, as the partition's decisions say. A pack needs no Spark session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from muster.promotion.approval import BY, VERDICTS, Approval
from muster.promotion.promote import promote
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Carry out the partition's decisions."""

    def over(tasks: int, work: Callable[[int], pa.Table], schema: pa.Schema) -> pa.Table:
        return job.over_bins([[number] for number in range(tasks)], work, schema)

    approval = Approval.of(job.options)
    return promote(job.context, job.attempt, approval, over)


if __name__ == "__main__":
    main("promote", run, options=(BY, VERDICTS))
