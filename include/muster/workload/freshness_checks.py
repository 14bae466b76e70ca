"""Limits of freshness that could never hold, or never matter."""

from __future__ import annotations

from collections.abc import Iterator

from muster.workload.spec import Workload
from muster.workload.wording import Problem


def freshness(workload: Workload) -> Iterator[Problem]:
    """Find a wait that ends before it begins, and an age that every group has, or none."""
    declared = workload.freshness
    if declared is None:
        return
    if declared.late == "go_on" and declared.wait_hours == 0:
        why = "nothing would be waited for, and nothing would come of what is found"
        yield "freshness.wait_hours", f"0 does not go with 'late: go_on': {why}; write hours, or 'late: fail'"
    written = "look_every_minutes" in declared.model_fields_set
    if written and 0 < declared.wait_hours * 60 < declared.look_every_minutes:
        why = f"the wait is over after {declared.wait_hours:g} hours, before the second look"
        yield "freshness.look_every_minutes", f"{declared.look_every_minutes:g} is too large: {why}; look more often"
    if declared.stale_after is not None:
        yield from _stale_after(workload, declared.stale_after)


def _stale_after(workload: Workload, days: int) -> Iterator[Problem]:
    every, windows = workload.schedule.every, workload.windows
    longest = windows.train + windows.evaluate
    if days < every:
        why = f"a slice has {every} days, so a group seen on the first day of the last one would be stale already"
        yield "freshness.stale_after", f"{days} is too small: {why}; write {every} at least"
    elif days >= longest:
        why = f"training looks back {longest} days, so no group of it is ever older"
        yield "freshness.stale_after", f"{days} is too large: {why}; write less, or leave it out"
