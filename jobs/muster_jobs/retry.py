"""Retry: which groups of a partition failed, were stale or came late. Starts no Spark session, and trains nothing."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from muster.errors import bounded
from muster.training.retry import RETRY, RETRY_FAILED, asked_groups, check_asked, find_attempts
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Return how many groups are due, by the state that they are in; name some of them in the log."""
    attempts = find_attempts(job.context)
    asked = asked_groups(job.options.get(RETRY) or RETRY_FAILED)
    due = attempts.due
    if asked is not None:
        check_asked(job.context, attempts, asked)
        due = {group: row for group, row in due.items() if group in asked}
    if not due and asked is None:
        return {"skipped_because": "no group of the partition failed, was stale or came late: nothing to retry"}
    for row in list(due.values())[:SHOWN]:
        print(f"'{row.group}' {row.state}: {bounded([row.reason])}", file=sys.stderr)  # noqa: T201 - the job's log
    return {"due": len(due), "states": dict(Counter(row.state for row in due.values()))}


SHOWN = 20
"""Groups that the log names; `./muster retry --dry-run` lists all."""

if __name__ == "__main__":
    main("retry", run, options=(RETRY,))
