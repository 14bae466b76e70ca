"""Which landed days are read again: those that are another delivery than the one that was ingested."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from muster.ingest.arrivals import day_facts, ingested_days
from muster.ingest.sources.files import FileSource
from muster.ingest.sources.kind import Arrival
from muster.storage.delta import replace_rows
from muster.storage.provenance import write_facts
from muster.storage.store import Store
from tests.ingest.test_due_days import WORKLOAD

KNOWN, UNKNOWN, EMPTY, NEW = (date(2024, 1, day) for day in (8, 9, 10, 11))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four landed days: one ingested, one by another Muster, one without rows, one not at all."""
    store = Store(str(tmp_path), "made")
    Path(store.uri(store.landing)).mkdir(parents=True)
    for day in (KNOWN, UNKNOWN, EMPTY, NEW):
        file_of(store, day).write_text(f"{day}")
    for day in (KNOWN, UNKNOWN):
        write_day(store, day)
    write_facts(store, day_facts(store, {day: landed(store)[day].delivery for day in (KNOWN, EMPTY)}, {KNOWN: "1:a"}))
    return store


def file_of(store: Store, day: date) -> Path:
    return Path(store.uri(store.landing), f"{day}.csv.gz")


def landed(store: Store) -> dict[date, Arrival]:
    return FileSource(WORKLOAD, store.root).arrived([KNOWN, UNKNOWN, EMPTY, NEW])


def write_day(store: Store, day: date) -> None:
    rows = pa.table({"id": ["a"], "date": pa.array([day], pa.date32())})
    replace_rows(store, "observations", rows, f"date = '{day}'")


def test_days_that_were_ingested_as_they_are_or_are_of_unknown_origin_are_not_read_again(store: Store) -> None:
    assert ingested_days(store, landed(store)) == {KNOWN, UNKNOWN, EMPTY}
    assert ingested_days(store, {NEW: landed(store)[NEW]}) == set()


@pytest.mark.parametrize("day", [KNOWN, EMPTY])
def test_another_size_or_time_is_another_delivery(store: Store, day: date) -> None:
    file = file_of(store, day)
    at = file.stat().st_mtime_ns
    file.write_text("something longer")
    os.utime(file, ns=(at, at))
    assert day not in ingested_days(store, landed(store))
    file.write_text(f"{day}")
    os.utime(file, ns=(at, at))
    assert day in ingested_days(store, landed(store))
    os.utime(file, ns=(at, at + 1_000))
    assert day not in ingested_days(store, landed(store))


def test_which_delivery_a_day_was_is_known_although_its_rows_were_rewritten_since(store: Store) -> None:
    write_day(store, KNOWN)
    assert KNOWN in ingested_days(store, landed(store))
    os.utime(file_of(store, KNOWN), ns=(1, 1))
    assert KNOWN not in ingested_days(store, landed(store))


def test_an_ingest_that_was_killed_before_its_facts_leaves_the_delivery_of_before(store: Store) -> None:
    os.utime(file_of(store, EMPTY), ns=(1, 1))
    write_day(store, EMPTY)
    assert EMPTY not in ingested_days(store, landed(store))


def test_a_day_whose_rows_were_deleted_is_ingested_again(store: Store) -> None:
    table = store.open("observations")
    assert table is not None
    table.delete(f"date = '{KNOWN}'")
    assert KNOWN not in ingested_days(store, landed(store))


def test_a_file_that_is_younger_than_rows_of_unknown_origin_is_another_delivery(store: Store) -> None:
    later = time.time() + 1
    os.utime(file_of(store, UNKNOWN), (later, later))
    assert UNKNOWN not in ingested_days(store, landed(store))


@pytest.mark.parametrize("day", [KNOWN, UNKNOWN])
def test_a_link_that_leads_nowhere_is_read_again_so_that_ingest_says_so(store: Store, day: date) -> None:
    file = file_of(store, day)
    file.unlink()
    file.symlink_to("nowhere")
    assert day not in ingested_days(store, landed(store))


def test_days_that_were_read_in_another_zone_are_read_again(store: Store) -> None:
    zone = "Europe/Berlin"
    assert ingested_days(store, landed(store), zone) == set()
    deliveries = {day: landed(store)[day].delivery for day in (KNOWN, EMPTY)}
    write_facts(store, day_facts(store, deliveries, {KNOWN: "1:a"}, zone=zone))
    assert ingested_days(store, landed(store), zone) == {KNOWN, EMPTY}
    assert ingested_days(store, landed(store), "Asia/Tokyo") == set()
    assert ingested_days(store, landed(store)) == {UNKNOWN}
