"""Deadlines that can never hold, and alerts of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from muster.workload.deadlines import ByTime
from muster.workload.due import deadline_at, due_at
from muster.workload.spec import Workload
from muster.workload.wording import Problem
from muster.workload.zone import local_time

A_YEAR = 366
"""Days within which a zone's clocks have shown whatever they do."""


def deadlines(workload: Workload) -> Iterator[Problem]:
    """Find a deadline that comes before anything can be done for it, and a section without one."""
    declared = workload.deadlines
    if declared is None:
        return
    times = {"data_by": declared.data_by, "predictions_by": declared.predictions_by}
    for name, by in times.items():
        if by is not None and (problem := _never_holds(workload, by)):
            yield f"deadlines.{name}", problem
    if declared.data_by and declared.predictions_by and declared.data_by > declared.predictions_by:
        why = f"is after predictions_by, '{declared.predictions_by}': predictions come of data"
        yield "deadlines.data_by", f"'{declared.data_by}' {why}; write an earlier time"
    days = declared.champion_no_older_than
    every = workload.retrain.every if workload.retrain else workload.schedule.every
    if days is not None and days < every:
        why = f"a champion is {every} days old whenever the next partition is due to be trained"
        yield "deadlines.champion_no_older_than", f"{days} is too small: {why}; write {every}d at least"


def _never_holds(workload: Workload, by: ByTime) -> str | None:
    """Return why a time comes, on some day of a year, before the partition is due: nothing of it can be there then."""
    first, every = workload.schedule.start, workload.schedule.every
    for days in range(0, max(A_YEAR, every + 1), every):
        partition = first + timedelta(days=days)
        due = due_at(workload, partition)
        if deadline_at(workload, partition, by) <= due:
            clock = f"{local_time(workload.zone, due):%H:%M} {workload.zone or 'UTC'}"
            why = f"partition {partition} is due at {clock} only"
            return f"'{by}' can never hold: {why}; write a later time, or '+1d {ByTime(0, by.minutes)}' for a day later"
    return None


def alerts(workload: Workload) -> Iterator[Problem]:
    """Find alerts of nothing, and one that is there twice."""
    if workload.alerts and workload.deadlines is None:
        yield "alerts", "there is nothing to tell of without 'deadlines'; declare one, or leave this out"
    for place, alert in enumerate(workload.alerts):
        if alert in workload.alerts[:place]:
            yield f"alerts.{place}", "is there twice, and would tell everyone twice; take one out"
