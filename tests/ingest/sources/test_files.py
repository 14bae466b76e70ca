"""Files as a source: what has arrived for a day, and its rows, however many files it has."""

from __future__ import annotations

import bz2
import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from muster.ingest.due_days import NoFile, due_arrivals
from muster.ingest.sources.files import BadFile
from muster.ingest.sources.kind import Arrival
from muster.ingest.sources.kinds import source_of
from tests.ingest.formats.made import DAY, checked, made, put

HEADER = "place,line,at,warm,open,built,note\n"
ZURICH = f"{HEADER}Zürich,1,2024-01-15T06:00:00,1,,,\n"
MORE = ZURICH.replace("note", "note,more, more").replace(",\n", ",,x,y\n")
SEMICOLONS = {"format": "csv", "delimiter": ";", "encoding": "latin-1"}
CARETS = {"delimiter": "^", "encoding": "cp1252"}
NEXT = date(2024, 1, 16)


def row(place: str, warm: str = "1") -> str:
    return f"{place},1,2024-01-15T06:00:00,{warm},,,\n"


def arrived(folder: Path, files: str, **source: str) -> dict[date, Arrival]:
    return dict(source_of(made(folder, files, **source)).arrived([DAY, NEXT]))


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("a.csv", ZURICH, {}),
        ("a.csv", "\ufeff" + ZURICH.replace("\n", "\r\n"), {}),
        ("a.csv.gz", gzip.compress(HEADER.encode(), mtime=0) + gzip.compress(row("Zürich").encode()), {}),
        ("a.CSV.ZST", zstandard.compress(ZURICH.encode()), {"format": "csv"}),
        ("a.tsv", ZURICH.replace(",", "\t"), {}),
        (
            "a.txt",
            ZURICH.replace(",", ";").encode("latin-1"),
            {"format": "csv", "delimiter": ";", "encoding": "latin-1"},
        ),
        (
            "a.csv",
            ZURICH.replace(",", "|").encode("utf-16"),
            {"delimiter": "|", "encoding": "utf-16"},
        ),
        (
            "a.csv.zst",
            zstandard.compress(ZURICH.replace(",", "^").encode("cp1252")),
            {"delimiter": "^", "encoding": "cp1252"},
        ),
        (
            "a.csv",
            ZURICH.replace("note", "note,more, more").replace(",\n", ",,x,y\n"),
            {"extra": "ignore"},
        ),
    ],
)
def test_text_is_read_however_it_is_packed_divided_and_encoded(
    tmp_path: Path, name: str, content: str | bytes, source: dict[str, str]
) -> None:
    put(tmp_path, f"2024-01-15/{name}", content)
    good, refused = checked(made(tmp_path, "{date}/" + name, **source))
    assert ([line["place"] for line in good], refused) == (["Zürich"], [])


@pytest.mark.parametrize("blank", ["\t", " "])
def test_quotes_and_the_blanks_behind_them_are_read_with_a_blank_as_delimiter(tmp_path: Path, blank: str) -> None:
    lines = (HEADER.strip().split(","), ['"a\n""b"""', "1", '"2024-01-15"', "", '"yes"', "", '""'])
    put(tmp_path, "2024-01-15.csv", "".join(blank.join(line) + "\n" for line in lines))
    good, refused = checked(made(tmp_path, "{date}.csv", delimiter=blank))
    assert ([(line["place"], line["warm"], line["open"], line["note"]) for line in good], refused) == (
        [('a\n"b"', None, True, "")],
        [],
    )


@pytest.mark.parametrize(
    ("name", "content", "source", "problem"),
    [
        ("a.csv", HEADER.encode() + row("Zürich").encode("latin-1"), {}, r"not UTF-8 in line 2 \(byte 0xfc\)"),
        (
            "a.csv",
            ZURICH,
            {"encoding": "ascii"},
            r"is not ascii in line 2 \(byte 0xc3\)",
        ),
        ("a.csv", "\ufeff" + HEADER, {"encoding": "latin-1"}, "is UTF-8, as its first bytes say, and is declared as"),
        ("a.csv", ZURICH.encode("utf-16")[:-1], {"encoding": "utf-16"}, "holds text that is not utf-16"),
        (
            "a.csv",
            gzip.compress(HEADER.encode(), mtime=0),
            {},
            "is gzip, .* have its name end with '.gz'",
        ),
        ("a.csv", zstandard.compress(HEADER.encode()), {}, "is zstd, which its name does not say"),
        ("a.csv.zst", zstandard.compress((HEADER + row("a") * 99).encode())[:-9], {}, "is cut off or is not zstd"),
        ("a.csv.zst", gzip.compress(HEADER.encode(), mtime=0), {}, "is cut off or is not zstd"),
        ("a.csv.zst", b"", {}, r"is empty \(0 bytes\)"),
        ("a.csv.zst", zstandard.compress(b""), {}, "lacks at, built, line"),
        ("a.csv", bz2.compress(HEADER.encode()), {}, "is bzip2, which is not read"),
        ("a.csv", HEADER.replace("place", "Place") + row("a"), {"extra": "ignore"}, "is 'Place', declared is 'place'"),
        ("a.csv", HEADER.replace("note", "note,place"), {"extra": "ignore"}, "has more than once place"),
        (
            "a.csv",
            HEADER + row("a") + HEADER.replace("place,line", "line,place"),
            {},
            "has a header once more in line 3",
        ),
    ],
)
def test_a_bad_file_is_refused_with_line_and_rule(
    tmp_path: Path, name: str, content: str | bytes, source: dict[str, str], problem: str
) -> None:
    put(tmp_path, f"2024-01-15/{name}", content)
    with pytest.raises(BadFile, match=f"2024-01-15/{name}' .*{problem}"):
        checked(made(tmp_path, "{date}/" + name, **source))


def test_rows_repeat_each_other_across_the_files_of_a_day_and_each_is_refused_with_its_own_file(tmp_path: Path) -> None:
    put(tmp_path, "date=2024-01-15/1.csv", HEADER + row("a") + row("b", "x") + row("c"))
    put(tmp_path, "date=2024-01-15/2.csv", HEADER + row("c", "2") + row("d") + "e,1\n")
    put(tmp_path, "date=2024-01-15/3.csv", HEADER + row("a"))
    good, refused = checked(made(tmp_path, "date={date}/*.csv"))
    assert [line["place"] for line in good] == ["a", "d"]
    differ = "another row has the same place, line, at, not the same values"
    assert [(file, reason) for file, reason, _ in refused] == [
        ("date=2024-01-15/1.csv", "warm: not of type float"),
        ("date=2024-01-15/1.csv", differ),
        ("date=2024-01-15/2.csv", differ),
        ("date=2024-01-15/3.csv", "repeats a row"),
        ("date=2024-01-15/2.csv", "row: fewer fields than columns"),
    ]


def test_a_name_that_no_table_can_hold_is_refused(tmp_path: Path) -> None:
    put(tmp_path, os.fsdecode(b"2024-01-15/Z\xfcrich.csv"), ZURICH)
    with pytest.raises(BadFile, match=r"2024-01-15/Z\?rich.csv' has a name that is not UTF-8"):
        checked(made(tmp_path, "{date}/*.csv"))


def test_a_type_that_changes_within_a_day_costs_rows_or_the_file_that_has_it(tmp_path: Path) -> None:
    at = pa.array([datetime(2024, 1, 15, 6)])
    table = pa.table({name: pa.nulls(1) for name in HEADER.strip().split(",")})
    table = table.set_column(2, "at", at).set_column(0, "place", pa.array(["a"])).set_column(1, "line", pa.array([1]))
    put(tmp_path, "2024-01-15/1.parquet", table.set_column(3, "warm", pa.array([1.5])))
    put(
        tmp_path,
        "2024-01-15/2.parquet",
        table.set_column(3, "warm", pa.array(["cold"])).set_column(1, "line", pa.array(["2"])),
    )
    good, refused = checked(made(tmp_path, "{date}/*.parquet"))
    assert ([line["line"] for line in good], [(file, why) for file, why, _ in refused]) == (
        [1],
        [("2024-01-15/2.parquet", "warm: not of type float")],
    )
    put(tmp_path, "2024-01-15/3.parquet", table.set_column(3, "warm", pa.array([True])))
    with pytest.raises(BadFile, match=r"3\.parquet' has columns of other types .*: 'warm' is bool, declared is float"):
        checked(made(tmp_path, "{date}/*.parquet"))


def test_a_file_that_is_changed_added_or_taken_away_is_another_delivery(tmp_path: Path) -> None:
    first, second = (put(tmp_path, f"2024-01-15/{name}.csv", HEADER) for name in ("a", "b"))
    seen = [arrived(tmp_path, "{date}/*.csv")[DAY].delivery]
    assert seen == [arrived(tmp_path, "{date}/*.csv")[DAY].delivery]
    os.utime(first, ns=(1, 1))
    seen.append(arrived(tmp_path, "{date}/*.csv")[DAY].delivery)
    put(tmp_path, "2024-01-15/c.csv", HEADER)
    seen.append(arrived(tmp_path, "{date}/*.csv")[DAY].delivery)
    second.unlink()
    seen.append(arrived(tmp_path, "{date}/*.csv")[DAY].delivery)
    first.rename(tmp_path / "2024-01-15/z.csv")
    seen.append(arrived(tmp_path, "{date}/*.csv")[DAY].delivery)
    assert len(set(seen)) == 5


def test_one_file_a_day_is_told_from_another_as_ever(tmp_path: Path) -> None:
    file = put(tmp_path, "landing/made/2024-01-15.csv.gz", b"x")
    os.utime(file, ns=(5, 1_700_000_000_123_456_789))
    arrival = arrived(tmp_path, "landing/{workload}/{date}.csv.gz")[DAY]
    assert arrival.delivery == "1 bytes, 1700000000123456789"
    assert arrival.since == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert [(part.name, part.place) for part in arrival.parts] == [("2024-01-15.csv.gz", str(file))]


def test_a_day_with_a_mark_is_complete_once_it_is_there(tmp_path: Path) -> None:
    context = made(tmp_path, "{date}/*.csv", complete="_SUCCESS")
    source = source_of(context)
    put(tmp_path, "2024-01-15/a.csv", HEADER)
    assert source.days() == set()
    assert source.arrived([DAY])[DAY].lacks == f"{tmp_path}/2024-01-15/_SUCCESS"
    put(tmp_path, "2024-01-15/_SUCCESS", b"")
    put(tmp_path, "2024-01-16/_SUCCESS", b"")
    assert source.days() == {DAY, NEXT}
    assert {day: (arrival.lacks, len(arrival.parts)) for day, arrival in source.arrived([DAY, NEXT]).items()} == {
        DAY: (None, 1),
        NEXT: (None, 0),
    }
    assert [len(rows) for rows in checked(context)] == [0, 0]
    put(tmp_path, "flat/2024-01-15.csv", HEADER)
    put(tmp_path, "flat/2024-01-15.done", b"")
    assert list(arrived(tmp_path, "flat/{date}*", complete="{date}.done", format="csv")[DAY].parts[0].name) == list(
        "2024-01-15.csv"
    )
    beside = source_of(made(tmp_path, "{date}.csv", complete="{date}.done"))  # in no folder at all
    put(tmp_path, "2024-01-15.csv", HEADER)
    assert beside.arrived([DAY])[DAY].lacks == f"{tmp_path}/2024-01-15.done"
    put(tmp_path, "2024-01-15.done", b"")
    assert beside.arrived([DAY])[DAY].lacks is None


def test_a_day_that_has_begun_to_arrive_is_waited_for(tmp_path: Path) -> None:
    context = made(tmp_path, "x/{date}/*.csv", complete="_SUCCESS").at("2024-01-15")
    for day in (DAY, *context.windows.score.days()[2:]):
        put(tmp_path, f"x/{day}/a.csv", HEADER)
        put(tmp_path, f"x/{day}/_SUCCESS", b"")
    put(tmp_path, f"x/{NEXT}/a.csv", HEADER)
    lacking = r"no landed file for 2024-01-16 in '.*/x'; begun, but without '.*/x/2024-01-16/_SUCCESS'; run ingest"
    with pytest.raises(NoFile, match=lacking):
        due_arrivals(context)
    put(tmp_path, f"x/{NEXT}/_SUCCESS", b"")
    assert [arrival.day for arrival in due_arrivals(context)] == context.windows.score.days()


def test_a_marked_day_whose_files_have_another_name_is_not_a_day_without_rows(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-15/1.csv.gz", b"")
    put(tmp_path, "2024-01-15/_SUCCESS", b"")
    put(tmp_path, "2024-01-16/_SUCCESS", b"")
    source = source_of(made(tmp_path, "{date}/*.csv", complete="_SUCCESS"))
    arrived = source.arrived({date(2024, 1, 15), date(2024, 1, 16)})
    assert {day.day: arrival.lacks for day, arrival in arrived.items()} == {
        15: f"{tmp_path}/2024-01-15/*.csv",
        16: None,
    }
    put(tmp_path, "2024-01-15/2.csv", HEADER)
    assert source.arrived({date(2024, 1, 15)})[date(2024, 1, 15)].lacks is None
