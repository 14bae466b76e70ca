"""Check for leakage: computed again without later rows and outcomes, a row's features must be the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster.features.compute import FeatureFunction, compute
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

CHECKED_DAYS = 5
"""Days that are computed again, spread over those that have rows, the last one always among them."""


FUTURE, PAST = "that day's outcomes or later rows", "rows from before the lookback"


@dataclass(frozen=True)
class Leak:
    """A feature whose value on a day depends on what it must not know."""

    feature: str
    day: date
    rows: int
    knows: str


@dataclass(frozen=True)
class PointInTime:
    """The days that were checked, and the leaks."""

    days: tuple[date, ...]
    leaks: tuple[Leak, ...]


def check_point_in_time(
    workload: Workload, function: FeatureFunction, observed: pa.Table, computed: pa.Table
) -> PointInTime:
    """Compute some days' features again from what may be known then only, and compare.

    Left out are later rows, the day's own outcomes, and rows from before the declared lookback: the features job may
    not have them. `observed`: all observations of a group; `computed`: its features, as `compute` gave them from those.
    """
    present = sorted(computed["date"].unique().to_pylist())
    spread = {round(place * (len(present) - 1) / (CHECKED_DAYS - 1)) for place in range(CHECKED_DAYS)}
    days = tuple(present[number] for number in sorted(spread)) if present else ()
    leaks: list[Leak] = []
    for day in days:
        before = computed.filter(pc.equal(computed["date"], day))
        known = _as_known_on(workload, observed, day)
        earliest = day - timedelta(days=workload.features.lookback)
        changed = _changed(workload, function, before, known.filter(pc.greater_equal(known["date"], earliest)), day)
        future = _changed(workload, function, before, known, day) if changed else {}
        leaks += (Leak(name, day, rows, FUTURE if name in future else PAST) for name, rows in changed.items())
    return PointInTime(days, tuple(leaks))


def _changed(
    workload: Workload, function: FeatureFunction, before: pa.Table, known: pa.Table, day: date
) -> dict[str, int]:
    """Return the features that differ when computed from `known` only, and in how many of the day's rows."""
    after = compute(workload, function, known, DateRange(day, day + timedelta(days=1)))
    rows = {name: _differing(before[name].to_numpy(), after[name].to_numpy()) for name in workload.features.columns}
    return {name: count for name, count in rows.items() if count}


def _as_known_on(workload: Workload, observed: pa.Table, day: date) -> pa.Table:
    """Return the rows up to a day, that day's own without their outcome."""
    known = observed.filter(pc.less_equal(observed["date"], day))
    if workload.outcome.column is None:
        return known
    number = known.schema.get_field_index(workload.outcome.column)
    field = known.schema.field(number).with_nullable(True)
    outcome = pc.if_else(pc.equal(known["date"], day), pa.scalar(None, field.type), known[field.name])
    return known.set_column(number, field, outcome)


def _differing(first: np.ndarray, second: np.ndarray) -> int:
    """Count where two float arrays differ by more than rounding; NaN equals NaN."""
    return int((~np.isclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True)).sum())
