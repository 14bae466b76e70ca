"""flight_delays: the year as delivered, and its features against a count by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from muster.context import Context
from muster.features.compute import compute
from muster.workload.functions import function
from muster.workload.windows import DateRange, partition_windows
from tests.landed import check_days, read_blocks
from tests.workloads.conftest import FOLDER, Landed


@pytest.fixture(scope="module")
def flights(landed: Callable[[str], Landed]) -> Landed:
    return landed("flight_delays")


@pytest.fixture(scope="module")
def year(flights: Landed) -> pd.DataFrame:
    paths = [f"{flights.store.uri(flights.store.landing)}/{day}.csv.gz" for day in flights.days]
    return pd.concat([pd.read_csv(path).assign(day=day) for path, day in zip(paths, flights.days, strict=True)])


def test_every_flight_of_the_year_is_delivered_once(flights: Landed, year: pd.DataFrame) -> None:
    assert flights.days == pd.date_range("2013-01-01", "2013-12-31").date.tolist()
    assert len(year) == 336_776
    assert not year.duplicated(list(flights.workload.unique)).any()
    assert len(year.drop_duplicates(list(flights.workload.keys))) == 439


def test_a_flight_lies_in_the_file_of_its_local_day(year: pd.DataFrame) -> None:
    assert (year["sched_dep"].str[:10] == year["day"].astype(str)).all()
    assert set(year["sched_dep"].str[11:13].astype(int)) <= {1, *range(5, 24)}


def test_cancelled_and_diverted_flights_are_delivered_without_an_arrival(year: pd.DataFrame) -> None:
    assert year["arr_delay"].isna().sum() == 9_430


def test_weather_is_that_of_the_origin_in_the_scheduled_hour(year: pd.DataFrame) -> None:
    first = year[(year["day"] == date(2013, 1, 1)) & (year["flight"] == 1545)].iloc[0]
    assert (first["origin"], first["sched_dep"], first["temp"], first["built"]) == (
        "EWR",
        "2013-01-01T05:15:00",
        39.02,
        1999,
    )


def test_delivered_files_pass_the_checks_of_ingest(flights: Landed) -> None:
    context = Context(flights.workload, FOLDER, flights.store)
    assert read_blocks(context, flights.days[:60])
    checked = check_days(context, flights.days[150:157])
    assert checked.refused == {}
    assert checked.rows.num_rows > 6000


def test_there_are_files_for_every_declared_partition(flights: Landed) -> None:
    schedule = flights.workload.schedule
    assert schedule.end is not None
    first, last = (partition_windows(flights.workload, day) for day in (schedule.start, schedule.end))
    assert {*first.observed.days(), *last.observed.days()} <= set(flights.days)


@pytest.fixture(scope="module")
def route(flights: Landed) -> pd.DataFrame:
    """The observations and features of one route in five weeks."""
    start = date(2013, 5, 1)
    rows = flights.observations(DateRange(start, start + timedelta(days=42)))
    rows = rows.filter(pa.compute.equal(rows["group"], "B6,JFK,BOS"))
    own = function(flights.workload, FOLDER, "features")
    features = compute(flights.workload, own, rows, DateRange(start, start + timedelta(days=42))).to_pandas()
    observed = rows.to_pandas().drop(columns=["distance", *flights.workload.features.columns], errors="ignore")
    return features.merge(observed, on="row_id", suffixes=("", "_observed"))


@pytest.mark.parametrize(("column", "days"), [("late_1d", 1), ("late_7d", 7)])
def test_the_record_is_the_share_late_of_earlier_days_as_if_one_of_four_more_was(
    route: pd.DataFrame, column: str, days: int
) -> None:
    for row in route.iloc[:: len(route) // 25].itertuples():
        since = row.date - timedelta(days=days)
        earlier = route[(route["date"] >= since) & (route["date"] < row.date) & route["arr_delay"].notna()]
        late = (earlier["arr_delay"] > 15).sum()
        assert getattr(row, column) == pytest.approx((late + 1) / (len(earlier) + 4))


def test_the_hours_record_counts_flights_of_that_hour_and_leans_on_the_routes(route: pd.DataFrame) -> None:
    for row in route.iloc[:: len(route) // 25].itertuples():
        since = row.date - timedelta(days=28)
        earlier = route[(route["date"] >= since) & (route["date"] < row.date) & route["arr_delay"].notna()]
        of_route = ((earlier["arr_delay"] > 15).sum() + 1) / (len(earlier) + 4)
        of_hour = earlier[earlier["time"].dt.hour == row.time.hour]
        late = (of_hour["arr_delay"] > 15).sum()
        assert row.late_this_hour == pytest.approx((late + 4 * of_route) / (len(of_hour) + 4))


def test_hour_weekday_and_age_are_those_of_the_scheduled_departure(route: pd.DataFrame) -> None:
    thursday = route[route["date"] == date(2013, 5, 9)].iloc[0]
    hour = thursday["time"].hour + thursday["time"].minute / 60
    assert thursday["hour"] == pytest.approx(hour)
    assert thursday["hour_sin"] == pytest.approx(math.sin(2 * math.pi * hour / 24))
    assert thursday["hour_cos"] == pytest.approx(math.cos(2 * math.pi * hour / 24))
    assert thursday["weekday_sin"] == pytest.approx(math.sin(2 * math.pi * 3 / 7))
    assert thursday["weekday_cos"] == pytest.approx(math.cos(2 * math.pi * 3 / 7))
    assert thursday["age"] == 2013 - thursday["built"]
