"""By column: what clocks show as moments, and moments as days, as one by one."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from muster.ingest.clocks import dates_of, days_of, first_moments, moments
from muster.workload.zone import A_DAY, EPOCH, begins, moment_of

ZONES = ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/Cairo", "Asia/Kathmandu", "America/Sitka"]
CHANGES = [date(2024, 3, 31), date(2024, 10, 27), date(2006, 10, 29), date(2011, 12, 30), date(1867, 10, 18)]


def some(random: Random) -> list[int]:
    """Return microseconds near days on which clocks are changed, and anywhere."""
    near = [
        (random.choice(CHANGES) - EPOCH.date()).days * A_DAY + random.randrange(-A_DAY, 2 * A_DAY) for _ in range(400)
    ]
    return [*near, *(random.randrange(-(10**16), 10**16) for _ in range(100))]


@pytest.mark.parametrize("zone", ZONES)
def test_a_column_of_times_and_one_of_days_are_what_each_is_by_itself(zone: str) -> None:
    shown: list[int | None] = [*some(Random(0)), None]
    column = pa.array(shown, pa.int64()).view(pa.timestamp("us"))
    known = [None if one is None else moment_of(zone, one) for one in shown]
    assert moments(column, zone).view(pa.int64()).to_pylist() == known
    numbers = np.array([moment for moment in known if moment is not None])
    days = days_of(numbers, zone)
    for moment, day in zip(numbers.tolist(), days.tolist(), strict=True):
        assert begins(zone, day) <= moment < begins(zone, day + 1)
    dates = dates_of(moments(column, zone), zone).to_pylist()
    assert [one for one in dates if one] == [EPOCH.date() + timedelta(days=day) for day in days.tolist()]
    since = first_moments(dates_of(moments(column, zone), zone), zone)
    assert since.null_count == dates.count(None)
    assert len(moments(column.slice(0, 0), zone)) == len(dates_of(since.slice(0, 0), zone)) == 0
