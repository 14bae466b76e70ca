"""Rollback: say what going back would change, or go back. About no partition; starts no Spark session."""

from __future__ import annotations

import json
from typing import Any

from jobs.job import Job, main
from muster.errors import WrongArgument
from muster.rollback import carry_out, plan

OPTIONS = ("to", "groups", "against", "who", "why", "dry_run")


def run(job: Job) -> dict[str, Any]:
    """Carry out the rollback that the options ask for; with `dry_run` of `true`, only tell the difference."""
    told = job.options
    planned = plan(job.workload, job.store, told.get("to"), _groups(told.get("groups", "[]")), told.get("against"))
    if told.get("dry_run") == "true":
        return {**planned.difference, "moved": False}
    return {
        **planned.difference,
        **carry_out(job.workload, job.store, planned, told.get("who", ""), told.get("why", "")),
    }


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
