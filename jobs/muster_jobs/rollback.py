"""Rollback: say what going back would change, or go back. About no partition; starts no Spark session."""

from __future__ import annotations

import json
from typing import Any

from muster.context import Context
from muster.errors import WrongArgument
from muster.promotion.rollback import plan_rollback, roll_back
from muster_jobs.job import Job, main

OPTIONS = ("to", "groups", "against", "who", "why", "dry_run")


def run(job: Job) -> dict[str, Any]:
    """Carry out the rollback that the options ask for; with `dry_run` of `true`, only tell the difference."""
    options, context = job.options, Context(job.workload, job.folder, job.store)
    plan = plan_rollback(context, options.get("to"), _groups(options.get("groups", "[]")), options.get("against"))
    if options.get("dry_run") == "true":
        return {**plan.difference, "moved": False}
    return {**plan.difference, **roll_back(context, plan, options.get("who", ""), options.get("why", ""))}


def _groups(text: str) -> list[str]:
    """Return the groups that a JSON array names.

    Raises:
        WrongArgument: when it is anything else.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(group, str) for group in found):
        raise WrongArgument(f"'{text[:100]}' is no JSON array of groups; write [\"UA,EWR,ORD\"]")
    return found


if __name__ == "__main__":
    main("rollback", run, partitioned=False, options=OPTIONS)
