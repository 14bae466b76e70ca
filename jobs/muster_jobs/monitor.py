"""Monitor: compare what was answered with the outcomes that are there by now, and features with those learnt from."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.groups import WILDCARD
from muster.monitoring.announced import announced
from muster.monitoring.bucket import MEASURED, measure_bucket
from muster.monitoring.due import also_due, made_from, monitored, past_of, prepare, scored_today
from muster.monitoring.judge import judge
from muster.training.bins import balance
from muster_jobs.command_line import main
from muster_jobs.job import Job

TOLD_AGAIN = timedelta(days=7)
"""For so long what was written is told again: an attempt that died after writing may not have told it."""


def run(job: Job) -> dict[str, Any]:
    """Write `monitoring` of the partition, and of the earlier ones whose answers or outcomes are others now."""
    if scored_today(job.context):
        why = f"{job.windows.key} was scored by today's champion, which has learnt from its rows or was judged on them"
        return {"skipped_because": why, "rows": 0}
    began = datetime.now(UTC)
    counts, again = None, {}
    for context in [*also_due(job.context), job.context]:
        counted = _monitor(job, context)
        if context.partition != job.windows.key:
            again[context.partition] = counted
        else:
            counts = counted
    if counts is None:
        return {"skipped_because": f"nothing of {job.windows.key} was scored", "rows": 0}
    told = announced(monitored(job.context, began - TOLD_AGAIN, [job.windows.key, *again]))
    return {**counts, **({"again": again} if again else {}), "alarms": told}


def _monitor(job: Job, context: PartitionContext) -> dict[str, Any] | None:
    """Write the rows of one partition; return the counts, None where nothing of it was scored."""
    digest, measuring = made_from(context), prepare(context)
    if measuring is None:
        return None
    watched = measuring.watched
    costs = {
        bucket: float(rows + (watched.learnt.rows.get(bucket, 0) if watched.learnt else 0))
        for bucket, rows in watched.scored.rows.items()
    }
    measured = job.over_bins(balance(costs, job.bins), partial(measure_bucket, measuring), MEASURED)
    rows = judge(watched, measured, past_of(context), datetime.now(UTC), digest)
    job.replace(rows, "monitoring", f"partition = '{context.partition}'")
    return _counts(rows)


def _counts(rows: pa.Table) -> dict[str, Any]:
    whole = rows.filter(pc.equal(rows["group"], WILDCARD)).to_pylist()[0]
    groups = rows.filter(pc.not_equal(rows["group"], WILDCARD))
    kinds = Counter(groups["alarm"].drop_null().to_pylist())
    both = kinds["both"]
    return {
        "groups": groups.num_rows,
        "rows": whole["rows"],
        "labelled": whole["labelled"],
        "without_label": whole["own"] - whole["labelled"],
        "gone": whole["gone"],
        "fallback": whole["fallback"],
        "states": dict(Counter(groups["state"].to_pylist())),
        "metric": whole["metric"],
        "score": whole["score"],
        "reference_score": whole["reference_score"],
        "degraded": kinds["degraded"] + both,
        "drifted": kinds["drifted"] + both,
        "all_together": whole["alarm"],
        "drift_column": whole["drift_column"],
    }


if __name__ == "__main__":
    main("monitor", run)
