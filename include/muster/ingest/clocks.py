"""What the clocks of a time zone show as moments, and moments as the days there, by column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster.storage.tables import ARROW_TYPES, DATE
from muster.workload.zone import A_DAY, begins, stretches

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 0001 to 9999, since 1970."""
_LIMITS = np.iinfo(np.int64)


def moments(shown: pa.Array, zone: str) -> pa.Array:
    """Return the moments at which clocks show these times, the first where there are two; null where they skip one.

    Null is also what is beyond the years 1 to 9999 in UTC.
    """
    numbers = shown.cast(pa.timestamp("us")).view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    result, known = _moments(numbers, zone)
    known &= _within(result) & shown.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(result, pa.int64(), mask=~known).view(ARROW_TYPES["timestamp"])


def first_moments(days: pa.Array, zone: str) -> pa.Array:
    """Return the moments at which days begin; null is what is beyond the years 1 to 9999 in UTC."""
    of = days.cast(pa.int32()).dictionary_encode()
    since = np.array([begins(zone, day) for day in of.dictionary.to_pylist()], np.int64)
    return pa.array(since, pa.int64(), mask=~_within(since)).view(ARROW_TYPES["timestamp"]).take(of.indices)


def days_of(moments: np.ndarray, zone: str) -> np.ndarray:
    """Return the days of moments, both counted from 1970."""
    if not len(moments):
        return moments
    in_utc = np.unique(moments // A_DAY).tolist()  # no clock is a day ahead
    near = sorted({day + more for day in in_utc for more in (-1, 0, 1)})
    since = np.array([min(max(begins(zone, day), _LIMITS.min), _LIMITS.max) for day in near])
    return np.asarray(near)[np.searchsorted(since, moments, side="right") - 1]


def dates_of(moments: pa.Array, zone: str) -> pa.Array:
    """Return the days of moments."""
    numbers = moments.cast(pa.timestamp("us", "UTC")).view(pa.int64())
    days = days_of(numbers.fill_null(0).to_numpy(zero_copy_only=False), zone).astype(np.int32)
    return pc.if_else(numbers.is_valid(), pa.array(days, pa.int32()), pa.scalar(None, pa.int32())).cast(DATE)


def _within(moments: np.ndarray) -> np.ndarray:
    return np.asarray((moments >= FIRST_SECOND * 10**6) & (moments < (LAST_SECOND + 1) * 10**6))


def _moments(shown: np.ndarray, zone: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments, and which of them there are."""
    days, of_row = np.unique(shown // A_DAY, return_inverse=True)
    of_days = [stretches(zone, day) for day in days.tolist()]
    result = shown - np.array([parts[0].ahead for parts in of_days], np.int64)[of_row]
    known = np.ones(len(shown), dtype=bool)
    for number, parts in enumerate(of_days):
        if len(parts) > 1:  # of clocks that are changed
            rows = np.flatnonzero((of_row == number) & (result >= parts[1].since))
            result[rows] = shown[rows] - parts[1].ahead
            known[rows] = result[rows] >= parts[1].since
    return result, known
