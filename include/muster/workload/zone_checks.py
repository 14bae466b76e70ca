"""A time zone whose days have not ended when a partition is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from muster.printable import cell
from muster.workload.due import time_of_cron
from muster.workload.spec import Workload
from muster.workload.wording import Problem
from muster.workload.zone import A_DAY, EPOCH, begins

A_YEAR = 366


def due(workload: Workload) -> Iterator[Problem]:
    """Find a cron, which is in UTC, that comes on the day after a slice before the slice's last day has ended."""
    cron, zone = workload.schedule.cron, workload.zone
    time = time_of_cron(cron or "")
    if cron is None or zone is None or time is None:
        return
    first = (workload.schedule.start - EPOCH.date()).days
    ends = max(begins(zone, day) - day * A_DAY for day in range(first, first + A_YEAR))
    if time < timedelta(microseconds=ends):
        latest = EPOCH + timedelta(microseconds=ends)
        why = f"in UTC, comes before a day of {zone} has ended, which is at {latest:%H:%M} UTC at the latest"
        yield "schedule.cron", f"'{cell(cron)}', {why}; write a later time"
