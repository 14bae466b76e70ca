"""Days on which nothing happened, told from days that nobody has brought."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.quiet_days import quiet
from muster.storage.store import Store
from muster.workload.windows import DateRange
from tests.ingest.test_landed_files import WORKLOAD, put

DAY, NEXT = date(2024, 1, 15), date(2024, 1, 16)
HEADER = "place,at,delay\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which an earlier day is ingested, and files of two days without rows have landed."""
    store = Store(str(tmp_path), WORKLOAD.name)
    Path(store.landing()).mkdir(parents=True)
    write_day(store, "observations", date(2024, 1, 14))
    put(store, HEADER, DAY)
    put(store, HEADER, NEXT)
    return store


def write_day(store: Store, table: str, day: date) -> None:
    rows = pa.table({"place": ["a"], "date": [day]})
    write_deltalake(store.table(table), rows, partition_by=["date"], mode="append")


def is_quiet(store: Store, max_refused: float = 0.5) -> bool:
    workload = WORKLOAD.model_copy(update={"max_refused": max_refused})
    return quiet(Context(workload, Path(), store), DateRange(DAY, date(2024, 1, 17)))


def test_days_are_quiet_whose_files_hold_their_header_only(store: Store) -> None:
    assert is_quiet(store)


def test_a_day_with_rows_or_without_a_file_is_not(store: Store) -> None:
    put(store, HEADER + "a,2024-01-15,\n", DAY)
    assert not is_quiet(store)
    put(store, HEADER, DAY)
    write_day(store, "observations", NEXT)
    assert not is_quiet(store)


def test_nor_is_one_before_any_ingest_or_one_that_has_not_come(store: Store) -> None:
    (Path(store.landing()) / f"{NEXT}.csv.gz").unlink()
    assert not is_quiet(store)
    assert not quiet(Context(WORKLOAD, Path(), Store(store.root, "other")), DateRange(DAY, NEXT))


def test_a_day_that_may_be_refused_whole_is_quiet_once_it_is_in_quarantine(store: Store) -> None:
    put(store, HEADER + "a,yesterday,\n", DAY)
    assert not is_quiet(store, max_refused=1)
    write_day(store, "quarantine", DAY)
    assert is_quiet(store, max_refused=1)
    assert not is_quiet(store)
