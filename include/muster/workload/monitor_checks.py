"""What monitoring cannot watch: columns that are no features, days that are no whole slices."""

from __future__ import annotations

from collections.abc import Iterator

from muster.errors import bounded
from muster.workload.spec import Workload
from muster.workload.wording import Problem


def monitor(workload: Workload) -> Iterator[Problem]:
    """Find columns that are not among the features, and days that hold no whole number of slices."""
    declared, every = workload.monitor, workload.schedule.every
    if declared is None:
        return
    known = workload.features.columns
    for place, name in enumerate(declared.columns):
        if name not in known:
            yield f"monitor.columns.{place}", f"'{name}' is no feature; write some of {bounded(known)}"
    if declared.days is not None and (declared.days % every or declared.days < every):
        yield "monitor.days", f"{declared.days} are no whole slices of {every} days; write a multiple of {every}"
