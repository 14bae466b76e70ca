"""When partitions are due, and the moment that a time of day means on such a day: by the clocks of the workload's zone.

A partition is due when its cron comes, on the day after its slice; without a cron, when its slice has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from muster.workload.deadlines import ByTime
from muster.workload.spec import Workload
from muster.workload.windows import slice_of
from muster.workload.zone import local_time, moment_on


def time_of_cron(cron: str) -> timedelta | None:
    """Return how long after midnight, UTC, a cron comes; None where it is not written as one of a day."""
    match = re.match(r"\s*(\d{1,2})\s+(\d{1,2})\s", cron, re.ASCII)
    return None if match is None else timedelta(hours=int(match[2]), minutes=int(match[1]))


def due_at(workload: Workload, partition: date) -> datetime:
    """Return when a partition is due."""
    after = partition + timedelta(days=workload.schedule.every)
    tick = time_of_cron(workload.schedule.cron or "")
    if tick is None:
        return moment_on(workload.zone, after, 0)
    return datetime.combine(after, datetime.min.time(), UTC) + tick


def deadline_at(workload: Workload, partition: date, by: ByTime) -> datetime:
    """Return the moment that a time of day means on the day on which a partition is due."""
    day = local_time(workload.zone, due_at(workload, partition)).date()
    return moment_on(workload.zone, day + timedelta(days=by.days), by.minutes)


def last_due(workload: Workload, now: datetime) -> date | None:
    """Return the newest partition that is due by `now`; None before the first is."""
    return _newest(workload, now, lambda partition: due_at(workload, partition))


def last_past(workload: Workload, now: datetime, by: ByTime) -> date | None:
    """Return the newest partition whose deadline has come by `now`; None before the first one's has."""
    return _newest(workload, now, lambda partition: deadline_at(workload, partition, by))


def _newest(workload: Workload, now: datetime, moment: Callable[[date], datetime]) -> date | None:
    schedule = workload.schedule
    newest = slice_of(workload, min(now.astimezone(UTC).date(), schedule.end or date.max))
    while newest >= schedule.start and moment(newest) > now:
        newest -= timedelta(days=schedule.every)
    return newest if newest >= schedule.start else None
