"""What rows of features hold: the same digest however they are laid out, another for any other row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from muster import groups
from muster.context import Context
from muster.features import content
from muster.features.content import bucket_content, content_of, day_digests, slice_facts
from muster.features.files import list_features
from muster.features.made_from import Sources
from muster.storage.provenance import write_facts
from muster.storage.store import Store
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from tests.features.test_files import MONDAY, WORKLOAD

DAYS = DateRange(MONDAY + timedelta(days=3), MONDAY + timedelta(days=17))


def rows(buckets: int) -> pd.DataFrame:
    """Return 2,000 rows of three weeks, whose labels and features are of few values."""
    random = np.random.default_rng(1)
    count = 2000
    names = [f"g{number % 40}" for number in range(count)]
    day = [MONDAY + timedelta(days=int(number)) for number in random.integers(0, 21, count)]
    return pd.DataFrame(
        {
            "group": names,
            "parent": False,
            "feature_error": None,
            "row_id": [f"r{number}" for number in range(count)],
            "time": pd.to_datetime(day, utc=True),
            "date": day,
            "label": random.choice([0.0, 1.0, np.nan], count),
            "hour": random.integers(0, 24, count).astype(float),
            "record": random.choice([0.5, np.inf, np.nan], count),
            "partition": [(at - timedelta(days=at.weekday())).isoformat() for at in day],
            "bucket": [groups.bucket(name, buckets) for name in names],
        }
    )


def write(folder: Path, frame: pd.DataFrame) -> Context:
    store = Store(str(folder), "flights")
    table = pa.Table.from_pandas(frame, features_schema(WORKLOAD), preserve_index=False)
    write_deltalake(store.table("features"), table, mode="overwrite", partition_by=["partition", "bucket"])
    return Context(WORKLOAD, folder, store)


def held(folder: Path, frame: pd.DataFrame) -> dict[str, str]:
    return content_of(write(folder, frame), 0, DAYS)


def test_order_buckets_and_files_change_nothing(tmp_path: Path) -> None:
    first = held(tmp_path / "one", rows(2))
    assert list(first) == [str(day) for day in DAYS.days()]
    assert held(tmp_path / "two", rows(7).sample(frac=1, random_state=2)) == first


def swap(name: str) -> Callable[[pd.DataFrame], None]:
    """Return what lets two rows of a day change places in a column: its size and extremes stay as they are."""

    def change(frame: pd.DataFrame) -> None:
        day = frame[frame["date"] == date(2013, 5, 6)].index
        values = frame.loc[day, name]
        there = [values[values.eq(value)].index[0] for value in values.dropna().unique()[:2]]
        frame.loc[there, name] = frame.loc[there[::-1], name].to_numpy()

    return change


CHANGES: dict[str, Callable[[pd.DataFrame], None]] = {
    "two labels": swap("label"),
    "two values of a feature": swap("hour"),
    "two rows' names": swap("row_id"),
    "two groups of a bucket": swap("group"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_places_within_a_day_changes_that_days_digest(
    tmp_path: Path, change: Callable[[pd.DataFrame], None]
) -> None:
    before, frame = held(tmp_path / "before", rows(1)), rows(1)
    change(frame)
    after = held(tmp_path / "after", frame)
    assert {day for day in before if before[day] != after[day]} == {"2013-05-06"}


@pytest.mark.parametrize("name", CHANGES)
def test_what_models_are_asked_is_another_unless_labels_alone_have_changed(tmp_path: Path, name: str) -> None:
    asked = []
    for change in (lambda frame: None, CHANGES[name]):
        frame = rows(1)
        change(frame)
        context = write(tmp_path / str(len(asked)), frame)
        files = list_features(context, DAYS).files
        texts = [bucket_content(WORKLOAD, files[bucket])["days"][0].as_py() for bucket in files]
        asked.append(day_digests(texts, labels=False))
    assert (asked[0] == asked[1]) == (name == "two labels")


def test_another_weight_is_another_day_but_no_other_question_to_models(tmp_path: Path) -> None:
    declared = {"columns": {**WORKLOAD.model_dump()["columns"], "fares": "float"}, "weight": "fares"}
    workload = Workload.model_validate(WORKLOAD.model_dump() | declared)
    sums = []
    for number, weight in enumerate((1.0, 2.0)):
        table = pa.Table.from_pandas(rows(1).assign(sample_weight=weight), features_schema(workload))
        pq.write_table(table, file := tmp_path / f"{number}.parquet")
        sums.append(bucket_content(workload, [str(file)])["days"][0].as_py())
    both, asked = ([day_digests([text], labels=labels) for text in sums] for labels in (True, False))
    assert both[0].keys() == both[1].keys()
    assert not set(both[0].values()) & set(both[1].values())
    assert asked[0] == asked[1]


def test_a_row_of_a_day_that_is_not_looked_at_changes_nothing(tmp_path: Path) -> None:
    frame = rows(1)
    frame.loc[frame["date"] == date(2013, 5, 1), "hour"] = 30.0
    assert held(tmp_path / "after", frame) == held(tmp_path / "before", rows(1))


def test_facts_say_what_reading_says_and_then_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = write(tmp_path, rows(3))
    (tmp_path / "flights.py").write_text("def features(rows): ...")
    read = content_of(context, 0, DAYS)
    files = list_features(context, DateRange(MONDAY, MONDAY + timedelta(days=21))).files
    tables = [bucket_content(WORKLOAD, files[bucket]) for bucket in files]
    assert [sum(table[name][0].as_py() for table in tables) for name in ("rows", "groups", "parents")] == [2000, 40, 0]
    whole = day_digests(table["days"][0].as_py() for table in tables)
    firsts = [MONDAY + timedelta(days=days) for days in (0, 7, 14)]
    write_facts(context.store, slice_facts(Sources.now(context), firsts, whole))
    monkeypatch.setattr(content, "bucket_content", None)
    assert content_of(context, 0, DAYS) == read
