"""CSV and its kin: read whole and as it stands, or refused with its reason."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from muster.ingest.formats import csv_rows
from muster.ingest.formats.delimited import read as blocks_of
from muster.ingest.formats.opened import BadContent
from muster.storage.store import Store
from tests.ingest.test_due_days import DAY, GOOD, WORKLOAD, put, store

__all__ = ["store"]


def read(file: str) -> list[dict[str, str | None]]:
    return [row for block in blocks_of(WORKLOAD, file) for row in block.rows.to_pylist()]


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
        ("place,when,delay\n", "has other columns than made declares: lacks at; has the undeclared when"),
        ("place,at,delay,place\n", "has more than once place"),
        (
            "place,at,delay,\na,2024-01-15,1,\n",
            "has a column without a name, as a comma at a header.s start or end makes one",
        ),
        (
            "place;at;delay\na;2024-01-15;1\n",
            r"undeclared place;at;delay\. It seems to be delimited by ';', not by ',': declare 'delimiter: \";\"'",
        ),
        ('"place"|"at"|"delay"\n"a"|2024|1\n', r"a quote which is not closed, or not doubled\. It seems .* by '\|'"),
        ("Place, at,delay\n", "declares: is ' at', declared is 'at'; is 'Place', declared is 'place'$"),
        (GOOD + GOOD, "has a header once more in line 503: it is several files in one; deliver them one by one"),
        (GOOD + "delay,place,at\n1,a,2024-01-15\n", "has a header once more in line 503"),
        (gzip.compress(b"PAR1 and so on", mtime=0), "is parquet; declare 'format: parquet'"),
        ('place,"at,delay', "begins with a header that has a quote"),
        ("place,at,delay\na,2024-01-15,1\na,2024-01-15", "is cut off within its last row: 'a,2024-01-15'"),
        ('place,at,delay\na,2024-01-15,1\na,2024-01-15,"1', "is cut off within its last row"),
        (gzip.compress(GOOD.encode("utf-16"), mtime=0), "is UTF-16 or UTF-32; write it as UTF-8"),
        (gzip.compress(GOOD.encode("utf-16-le"), mtime=0), "is UTF-16 or UTF-32; write it as UTF-8"),
        ("place,at,delay\n" + "a" * 5_000_000, "has a row of more than 4 MiB"),
        (
            gzip.compress(b"place,at,delay\n\xff\xfe,2024-01-15,1\n", mtime=0),
            r"holds text that is not UTF-8 in line 2 \(byte 0xff\); write",
        ),
        (
            gzip.compress(b"place,at,delay\na,2024,\n\xfc\n", mtime=0),
            r"not UTF-8 in line 3 .* declare what it is: 'encoding: latin-1'",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_reason(store: Store, content: bytes | str, problem: str) -> None:
    file = put(store, content)
    with pytest.raises(BadContent, match=problem):
        read(file)


def test_what_bears_the_name_of_a_file_and_is_none_is_told_as_what_it_is(store: Store) -> None:
    file = Path(f"{store.uri(store.landing)}/{DAY}.csv.gz")
    file.mkdir()
    with pytest.raises(BadContent, match="is a folder, no file"):
        read(str(file))
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(BadContent, match="is a pipe or a device, no file"):
        read(str(file))
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=r"2024-01-15\.csv\.gz'\. Detail: .* No such file or directory"):
        read(str(file))


def texts(store: Store) -> list[dict[str, str | None]]:
    return read(f"{store.uri(store.landing)}/{DAY}.csv.gz")


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
        assert [(block.rows.num_rows, block.misfits) for block in blocks_of(WORKLOAD, put(store, content))] == [(0, [])]
