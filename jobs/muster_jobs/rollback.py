"""Rollback: show what going back would change, or go back. About no partition; starts no Spark session."""

from __future__ import annotations

import json
from typing import Any

from muster.errors import WrongArgument
from muster.promotion.rollback import plan_rollback, roll_back
from muster_jobs.command_line import main
from muster_jobs.job import Job

OPTIONS = ("to", "groups", "against", "who", "why", "dry_run")


def run(job: Job) -> dict[str, Any]:
    """Carry out the rollback that the options ask for; with `dry_run` of `true`, only return the difference."""
    options, context = job.options, job.context
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
        groups = json.loads(text)
    except ValueError:
        groups = None
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise WrongArgument(f"'{text[:100]}' is no JSON array of groups; write [\"UA,EWR,ORD\"]")
    return groups


if __name__ == "__main__":
    main("rollback", run, partitioned=False, options=OPTIONS)
