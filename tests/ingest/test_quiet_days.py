"""Days on which nothing happened, told from days that nobody has brought."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import Context
from muster.ingest.arrivals import day_facts
from muster.ingest.quiet_days import quiet
from muster.ingest.sources.kinds import complete_arrivals
from muster.storage.provenance import write_facts
from muster.storage.store import Store
from muster.workload.column import Column
from muster.workload.windows import DateRange
from tests.ingest.test_due_days import WORKLOAD, put

DAY, NEXT = date(2024, 1, 15), date(2024, 1, 16)
HEADER = "place,at,delay\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which an earlier day is ingested, and files of two days without rows have landed."""
    store = Store(str(tmp_path), WORKLOAD.name)
    Path(store.uri(store.landing)).mkdir(parents=True)
    write_day(store, "observations", date(2024, 1, 14))
    put(store, HEADER, DAY)
    put(store, HEADER, NEXT)
    return store


def write_day(store: Store, table: str, day: date) -> None:
    rows = pa.table({"place": ["a"], "date": [day]})
    write_deltalake(store.table(table), rows, partition_by=["date"], mode="append")


def ingest(store: Store) -> None:
    """Write down that both days were ingested, and that no row of them was accepted."""
    arrived = complete_arrivals(Context(WORKLOAD, Path(), store), {DAY, NEXT})
    write_facts(store, day_facts(store, {day: arrival.delivery for day, arrival in arrived.items()}, {}))


def is_quiet(store: Store, **changes: object) -> bool:
    workload = WORKLOAD.model_copy(update=changes)
    return quiet(Context(workload, Path(), store), DateRange(DAY, date(2024, 1, 17)))


def test_days_are_quiet_whose_files_hold_their_header_only(store: Store) -> None:
    assert is_quiet(store)
    ingest(store)
    assert is_quiet(store)


def test_a_day_with_rows_or_without_a_file_is_not(store: Store) -> None:
    put(store, HEADER + "a,2024-01-15,\n", DAY)
    assert not is_quiet(store)
    put(store, HEADER, DAY)
    write_day(store, "observations", NEXT)
    assert not is_quiet(store)


def test_nor_is_one_before_any_ingest_or_one_that_has_not_come(store: Store) -> None:
    (Path(store.uri(store.landing)) / f"{NEXT}.csv.gz").unlink()
    assert not is_quiet(store)
    assert not quiet(Context(WORKLOAD, Path(), Store(store.root, "other")), DateRange(DAY, NEXT))


def test_what_ingest_wrote_down_holds_when_a_column_is_declared_and_when_the_files_are_freed(store: Store) -> None:
    ingest(store)
    assert is_quiet(store, columns=WORKLOAD.columns | {"weather": Column(type="string", optional=True)})
    for file in Path(store.uri(store.landing)).iterdir():
        file.unlink()
    assert is_quiet(store)


def test_a_day_that_was_refused_whole_is_quiet_once_it_is_ingested_and_until_it_is_delivered_again(
    store: Store,
) -> None:
    put(store, HEADER + "a,yesterday,\n", DAY)
    write_day(store, "quarantine", DAY)  # it stands there before the day is taken, and where it is not
    assert not is_quiet(store, max_refused=1)
    ingest(store)
    assert is_quiet(store, max_refused=1)
    put(store, HEADER + "a,2024-01-15 10:00:00,\n", DAY)
    assert not is_quiet(store, max_refused=1)


def test_a_day_whose_rows_were_deleted_is_not(store: Store) -> None:
    write_day(store, "observations", DAY)
    ingest(store)
    table = store.open("observations")
    assert table is not None
    table.delete(f"date = '{DAY}'")
    assert not is_quiet(store)
