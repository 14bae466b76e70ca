"""Landed files: which days are due, and that a file is read whole or refused with its reason."""

from __future__ import annotations

import gzip
import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.context import PartitionContext
from muster.ingest import csv_rows
from muster.ingest.landed_files import (
    BadFile,
    NoFile,
    check_files,
    days_to_ingest,
    has_rows,
    landed_file,
    read_text,
)
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
    Path(store.landing()).mkdir(parents=True)
    return store


def put(store: Store, content: bytes | str, day: date = DAY) -> str:
    path = Path(store.landing()) / f"{day}.csv.gz"
    path.write_bytes(content if isinstance(content, bytes) else gzip.compress(content.encode(), mtime=0))
    return str(path)


def put_days(store: Store, *days: date) -> None:
    for day in days:
        put(store, GOOD, day)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (gzip.compress(b"", mtime=0), "lacks at, delay, place"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-30], "is cut off or is not gzip"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-1], "is cut off or is not gzip"),
        (GOOD.encode(), "is cut off or is not gzip"),
        ("place,at\na,2024-01-15\n", "lacks delay"),
        ("place,at,lateness,delay,more\n", "has the undeclared lateness, more"),
        ("place,when,delay\n", "lacks at; has the undeclared when"),
        ("place,at,delay,place\n", "has more than once place"),
        (
            "place,at,delay,\na,2024-01-15,1,\n",
            "with a column without a name, as a comma at its start or end makes one",
        ),
        ("place;at;delay\na;2024-01-15;1\n", "has the undeclared place;at;delay"),
        ('place,"at,delay', "begins with a header that has a quote"),
        ("place,at,delay\na,2024-01-15,1\na,2024-01-15", "is cut off within its last row: 'a,2024-01-15'"),
        ('place,at,delay\na,2024-01-15,1\na,2024-01-15,"1', "is cut off within its last row"),
        (gzip.compress(GOOD.encode("utf-16"), mtime=0), "is UTF-16 or UTF-32; write it as UTF-8"),
        (gzip.compress(GOOD.encode("utf-16-le"), mtime=0), "is UTF-16 or UTF-32; write it as UTF-8"),
        ("place,at,delay\n" + "a" * 5_000_000, "has a row of more than 4 MiB"),
        (gzip.compress(b"place,at,delay\n\xff\xfe,2024-01-15,1\n", mtime=0), "holds text that is not UTF-8"),
        (gzip.compress(b"place,at,delay\n\xfc\n", mtime=0), "holds text that is not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_reason(store: Store, content: bytes | str, problem: str) -> None:
    file = put(store, content)
    with pytest.raises(BadFile, match=f"2024-01-15.csv.gz' .*{problem}"):
        check_files(WORKLOAD, [file])


def test_what_bears_the_name_of_a_file_and_is_none_is_told_as_what_it_is(store: Store) -> None:
    file = Path(landed_file(store, DAY))
    file.mkdir()
    for ask in (lambda: check_files(WORKLOAD, [str(file)]), lambda: has_rows(WORKLOAD, str(file))):
        with pytest.raises(BadFile, match=r"2024-01-15\.csv\.gz' is a folder, no file; have it delivered again"):
            ask()
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(BadFile, match="is a pipe or a device, no file"):
        check_files(WORKLOAD, [str(file)])
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=r"2024-01-15\.csv\.gz'\. Detail: .* No such file or directory"):
        check_files(WORKLOAD, [str(file)])


def test_a_changed_header_names_what_is_missing_and_what_is_new(store: Store) -> None:
    file = put(store, "place,when,delay\n")
    with pytest.raises(BadFile, match="has other columns than made declares: lacks at; has the undeclared when"):
        check_files(WORKLOAD, [file])


def texts(store: Store) -> list[dict[str, str | None]]:
    return [row for block in read_text(WORKLOAD, landed_file(store, DAY)) for row in block.rows.to_pylist()]


def test_text_is_read_as_it_stands(store: Store) -> None:
    put(store, '\ufeffdelay,place,at\r\n,"../../x, ""ü""\nnext",\r\n1e3,"",2024\r\n')
    assert texts(store) == [
        {"place": '../../x, "ü"\nnext', "at": None, "delay": None},
        {"place": "", "at": "2024", "delay": "1e3"},
    ]


def test_an_empty_field_at_the_files_very_end_is_missing(store: Store) -> None:
    put(store, 'place,at,delay\n"a","2024-01-15",')
    assert texts(store)[0]["delay"] is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_end_of_a_line_is_one_and_blocks_of_any_size_give_the_same_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    lines = [
        "place,at,delay",
        '"x\r\ny",2024,1',
        'a,"2""4", ',
        '12" pipe,,',
        '"a, b" ,2,3',
        'bad"ly,"12" pipe",1',
        "c,,",
    ]
    put(store, end.join(lines) + end)
    whole = texts(store)
    assert [row["place"] for row in whole] == ["x\r\ny", "a", '12" pipe', "a, b ", "c"]
    for size in (1, 2, 3, 7, 20):
        monkeypatch.setattr(csv_rows, "BLOCK_BYTES", size)
        assert texts(store) == whole


def test_a_quoted_field_that_is_never_closed_costs_its_line_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 64)
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 200)
    put(store, 'place,at,delay\n"open,2024,1\n' + "b,2024,1\n" * 100)
    assert [row["place"] for row in texts(store)] == ["b"] * 100


def test_a_file_with_a_header_only_has_no_rows(store: Store) -> None:
    for content in ("place,at,delay\n", "place,at,delay", "place,at,delay\r\n\r\n"):
        assert not has_rows(WORKLOAD, put(store, content))
    assert has_rows(WORKLOAD, put(store, "place,at,delay\na\n"))


def test_own_days_are_due_and_landed_days_of_the_windows(store: Store) -> None:
    first = WINDOWS.observed.start
    put_days(
        store, first - timedelta(days=1), first, first + timedelta(days=5), *WINDOWS.score.days(), date(2024, 1, 22)
    )
    assert days_to_ingest(PartitionContext(WORKLOAD, Path(), store, WINDOWS)) == [
        first,
        first + timedelta(days=5),
        *WINDOWS.score.days(),
    ]


def test_an_earlier_day_that_was_brought_is_not_due_again(store: Store) -> None:
    first = WINDOWS.observed.start
    put_days(store, first, first + timedelta(days=1), *WINDOWS.score.days())
    have = pa.table({"place": ["a"] * 2, "date": [first, DAY]})
    write_deltalake(store.table("observations"), have, partition_by=["date"])
    assert days_to_ingest(PartitionContext(WORKLOAD, Path(), store, WINDOWS)) == [
        first + timedelta(days=1),
        *WINDOWS.score.days(),
    ]


def test_a_day_of_the_slice_without_a_file_is_named(store: Store) -> None:
    put_days(store, *WINDOWS.score.days()[:5])
    with pytest.raises(NoFile, match=r"no landed file for 2024-01-20, 2024-01-21 in '.*'; run ingest again once"):
        days_to_ingest(PartitionContext(WORKLOAD, Path(), store, WINDOWS))


def test_files_that_are_passed_over_for_their_names_are_told_beside_a_missing_day(store: Store) -> None:
    put_days(store, *WINDOWS.score.days()[:5])
    for name in ("20240120.csv.gz", "2024-01-21.csv", ".2024-01-21.csv.gz.tmp"):
        Path(store.landing(), name).write_bytes(b"")
    passed = r"passed over, since a file is named as 2024-01-08.csv.gz: 2024-01-21.csv, 20240120.csv.gz; run ingest"
    with pytest.raises(NoFile, match=passed):
        days_to_ingest(PartitionContext(WORKLOAD, Path(), store, WINDOWS))
