"""Promote: move the alias, or each group's own, as the partition's decisions say. A pack needs no Spark session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from muster.champions.errors import AliasMoved
from muster.champions.opened import replaced_since
from muster.promotion.approval import BY, VERDICTS, Approval
from muster.promotion.promote import promote
from muster_jobs.command_line import main
from muster_jobs.job import Job

OF_BACKFILL = "of_backfill"


def run(job: Job) -> dict[str, Any]:
    """Carry out the partition's decisions."""

    def over(tasks: int, work: Callable[[int], pa.Table], schema: pa.Schema) -> pa.Table:
        return job.over_bins([[number] for number in range(tasks)], work, schema)

    approval = Approval.of(job.options)
    try:
        return promote(job.context, job.attempt, approval, over)
    except AliasMoved as moved:
        if job.options.get(OF_BACKFILL) == "true" and replaced_since(job.context):
            return {"skipped_because": f"not promoted past a later champion: {moved}"}
        raise


if __name__ == "__main__":
    main("promote", run, options=(BY, VERDICTS, OF_BACKFILL))
