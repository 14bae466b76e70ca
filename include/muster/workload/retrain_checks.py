"""A cadence that fits no schedule."""

from __future__ import annotations

from collections.abc import Iterator

from muster.workload.spec import Workload
from muster.workload.wording import Problem


def retrain(workload: Workload) -> Iterator[Problem]:
    """Find a cadence that is no whole number of slices, and pauses that are longer than it."""
    declared, slice_days = workload.retrain, workload.schedule.every
    if declared is None:
        return
    if declared.every % slice_days:
        near = max(1, round(declared.every / slice_days)) * slice_days
        why = f"partitions are {slice_days} days apart, so none would be due then"
        yield "retrain.every", f"{declared.every} is no whole number of slices: {why}; write {near}"
    apart = declared.at_least_apart
    if apart is not None and apart > declared.every:
        yield (
            "retrain.at_least_apart",
            f"{apart} is more than 'every': write {declared.every} at most",
        )
