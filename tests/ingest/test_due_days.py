"""Which days are due: the partition's own, and those that no ingest has brought as they are now."""

from __future__ import annotations

import gzip
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import PartitionContext
from muster.ingest.due_days import NoFile, due_arrivals
from muster.storage.store import Store
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows

WORKLOAD = Workload.model_validate(
    {
        "name": "made",
        "keys": ["place"],
        "time": "at",
        "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
        "unique": ["place", "at"],
        "label": {"column": "delay", "above": 0},
        "features": {"columns": ["hour"], "lookback": 2},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 7, "evaluate": 7},
        "schedule": {"start": "2024-01-15"},
    }
)
WINDOWS = partition_windows(WORKLOAD, "2024-01-15")
DAY = date(2024, 1, 15)
GOOD = "place,at,delay\na,2024-01-15T06:00:00,1\n" + "b,2024-01-15T07:00:00,\n" * 500


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path), WORKLOAD.name)
    Path(store.uri(store.landing)).mkdir(parents=True)
    return store


def put(store: Store, content: bytes | str, day: date = DAY) -> str:
    path = Path(store.uri(store.landing)) / f"{day}.csv.gz"
    path.write_bytes(content if isinstance(content, bytes) else gzip.compress(content.encode(), mtime=0))
    return str(path)


def put_days(store: Store, *days: date) -> None:
    for day in days:
        put(store, GOOD, day)


def due(store: Store) -> list[date]:
    return [arrival.day for arrival in due_arrivals(PartitionContext(WORKLOAD, Path(), store, WINDOWS))]


def test_own_days_are_due_and_landed_days_of_the_windows(store: Store) -> None:
    first = WINDOWS.observed.start
    put_days(
        store, first - timedelta(days=1), first, first + timedelta(days=5), *WINDOWS.score.days(), date(2024, 1, 22)
    )
    assert due(store) == [
        first,
        first + timedelta(days=5),
        *WINDOWS.score.days(),
    ]


def test_an_earlier_day_that_was_brought_is_not_due_again(store: Store) -> None:
    first = WINDOWS.observed.start
    put_days(store, first, first + timedelta(days=1), *WINDOWS.score.days())
    have = pa.table({"place": ["a"] * 2, "date": [first, DAY]})
    write_deltalake(store.table("observations"), have, partition_by=["date"])
    assert due(store) == [
        first + timedelta(days=1),
        *WINDOWS.score.days(),
    ]


def test_a_day_of_the_slice_without_a_file_is_named(store: Store) -> None:
    put_days(store, *WINDOWS.score.days()[:5])
    with pytest.raises(NoFile, match=r"no landed file for 2024-01-20, 2024-01-21 in '.*'; run ingest again once"):
        due(store)


def test_files_that_are_passed_over_for_their_names_are_told_beside_a_missing_day(store: Store) -> None:
    put_days(store, *WINDOWS.score.days()[:5])
    for name in ("20240120.csv.gz", "2024-01-21.csv", ".2024-01-21.csv.gz.tmp"):
        Path(store.uri(store.landing), name).write_bytes(b"")
    passed = r"passed over, since a file is named as 2024-01-08.csv.gz: 2024-01-21.csv, 20240120.csv.gz; run ingest"
    with pytest.raises(NoFile, match=passed):
        due(store)


def test_days_that_nobody_waits_for_any_more_may_be_missing_and_those_that_have_come_are_taken(store: Store) -> None:
    own = WINDOWS.score.days()
    put_days(store, *own[:5], own[6])
    context = PartitionContext(WORKLOAD, Path(), store, WINDOWS)
    days = [arrival.day for arrival in due_arrivals(context, without={own[4], own[5]})]
    assert days == [*own[:5], own[6]]
    with pytest.raises(NoFile, match=r"no landed file for 2024-01-20 in"):
        due_arrivals(context, without={own[4]})
