"""Parquet: which types read as the declared ones, to which values, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muster.ingest.sources.files import BadFile
from tests.ingest.formats.made import COLUMNS, checked, made, put

NAME = "{date}.parquet"
LAST_DAYS = pa.array([2_932_896, 2_932_897], pa.int32()).view(pa.date32())
AT = datetime(2024, 1, 15, 6)
TEXTS = {
    "place": ["a", "b", "c"],
    "line": ["1", "02", "3"],
    "at": ["2024-01-15T06:00:00+01:00", "2024-01-15", "yesterday"],
    "warm": ["1.5", "", None],
    "open": ["yes", "maybe", None],
    "built": ["2001-2-3", None, "20010203"],
    "note": ["", None, "x"],
}


def rows(**columns: pa.Array) -> pa.Table:
    """Return rows of which only some columns matter."""
    count = len(next(iter(columns.values())))
    places = [f"place {number}" for number in range(count)]
    whole = {"place": pa.array(places), "line": pa.array([1] * count), "at": pa.array([AT] * count)}
    whole |= {name: pa.nulls(count) for name in COLUMNS if name not in whole}
    return pa.table({**whole, **columns})


def values(folder: Path, column: str, arrived: pa.Array) -> list[Any]:
    """Return the values of a column of good rows, and the reasons of the others."""
    put(folder, "2024-01-15.parquet", rows(**{column: arrived}))
    good, refused = checked(made(folder, NAME))
    return [*(row[column] for row in good), *(reason for _, reason, _ in refused)]


@pytest.mark.parametrize(
    ("column", "arrived", "expected"),
    [
        ("place", pa.array(["ü", ""]).dictionary_encode(), ["ü", ""]),
        ("place", pa.array(["ü", None], pa.large_string()), ["ü", "place: missing"]),
        ("note", pa.array(["ü", "x"], pa.string_view()), ["ü", "x"]),
        ("line", pa.array([-8, None], pa.int8()), [-8, "line: missing"]),
        ("line", pa.array([2**63 - 1, 2**63], pa.uint64()), [2**63 - 1, "line: not of type int"]),
        ("line", pa.array([Decimal(7), Decimal(10**25)], pa.decimal128(30, 0)), [7, "line: not of type int"]),
        ("warm", pa.array([1.5, None], pa.float16()), [1.5, None]),
        ("warm", pa.array([1.5, float("nan")], pa.float32()), [1.5, "warm: not of type float"]),
        ("warm", pa.array([Decimal("1.25"), None], pa.decimal256(50, 2)), [1.25, None]),
        ("warm", pa.array([2**64 - 1], pa.uint64()), [1.8446744073709552e19]),
        ("open", pa.array([True, None]), [True, None]),
        ("built", pa.array([date(2001, 2, 3)], pa.date64()), [date(2001, 2, 3)]),
        (
            "built",
            LAST_DAYS,
            [date.max, "built: not of type date"],
        ),
        ("at", pa.array([AT], pa.timestamp("s")), [AT.replace(tzinfo=UTC)]),
        ("at", pa.array([AT], pa.timestamp("ms", "America/New_York")), [AT.replace(tzinfo=UTC)]),
        ("at", pa.array([1705298400000000999], pa.timestamp("ns")), [AT.replace(tzinfo=UTC)]),
        ("at", pa.array([-(2**63), 2**63 - 1], pa.timestamp("ns")), ["at: not on the file's day"] * 2),
        ("at", pa.array([2**63 - 1], pa.timestamp("ms")), ["at: not of type timestamp"]),
        ("built", pa.array([2**63 - 1]).view(pa.date64()), ["built: not of type date"]),
        ("at", pa.array([date(2024, 1, 15)]), [datetime(2024, 1, 15, tzinfo=UTC)]),
        ("at", pa.array([2**62], pa.timestamp("us")), ["at: not of type timestamp"]),
        ("at", pa.array([date(2024, 1, 16)]), ["at: not on the file's day"]),
        ("note", pa.nulls(1), [None]),
    ],
    ids=lambda value: f"{value.type}" if isinstance(value, pa.Array) else "",
)
def test_a_value_that_fits_is_read_and_another_costs_its_row(
    tmp_path: Path, column: str, arrived: pa.Array, expected: list[Any]
) -> None:
    assert values(tmp_path, column, arrived) == expected


def test_texts_are_read_as_those_of_csv(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-15.parquet", pa.table({name: pa.array(texts, pa.string()) for name, texts in TEXTS.items()}))
    lines = [",".join("" if text is None else f'"{text}"' for text in row) for row in zip(*TEXTS.values(), strict=True)]
    lines.insert(0, ",".join(TEXTS))
    put(tmp_path, "2024-01-15.csv", "\n".join(lines) + "\n")
    good, refused = checked(made(tmp_path, NAME))
    of_csv, refused_of_csv = checked(made(tmp_path, "{date}.csv"))
    assert good == of_csv
    assert [row[1:] for row in refused] == [row[1:] for row in refused_of_csv]
    assert len(good) == 1


def test_times_of_96_bits_are_those_that_were_written(tmp_path: Path) -> None:
    table = rows(at=pa.array([datetime(9999, 12, 31), AT]))
    pq.write_table(table, tmp_path / "2024-01-15.parquet", use_deprecated_int96_timestamps=True)
    good, refused = checked(made(tmp_path, NAME))
    assert [row["at"] for row in good] == [AT.replace(tzinfo=UTC)]
    assert [(reason, json.loads(row)["at"][:10]) for _, reason, row in refused] == [
        ("at: not on the file's day", "9999-12-31")
    ]


def test_a_refused_row_is_kept_as_text(tmp_path: Path) -> None:
    table = rows(warm=pa.array([float("inf")]), at=pa.array([AT], pa.timestamp("ms", "Asia/Tokyo")))
    put(tmp_path, "2024-01-15.parquet", table)
    _, [(file, reason, row)] = checked(made(tmp_path, NAME))
    assert (file, reason) == ("2024-01-15.parquet", "warm: not of type float")
    arrived = {"place": "place 0", "line": "1", "at": "2024-01-15 06:00:00.000", "warm": "inf"}
    assert json.loads(row) == {**dict.fromkeys(COLUMNS), **arrived}


@pytest.mark.parametrize(
    ("column", "arrived", "problem"),
    [
        ("warm", pa.array([[1.5]]), r"'warm' is list<element: double>, declared is float; nested columns are not read"),
        ("place", pa.array([1]), "'place' is int64, declared is string"),
        ("place", pa.array([b"a"]), "'place' is binary, declared is string"),
        ("line", pa.array([1.0]), "'line' is double, declared is int"),
        ("line", pa.array([Decimal("1.5")]), "'line' is decimal128"),
        ("open", pa.array([1]), "'open' is int64, declared is bool"),
        ("built", pa.array([AT]), r"'built' is timestamp\[us\], declared is date"),
        ("at", pa.array([1705298400]), "'at' is int64, declared is timestamp"),
        ("More", pa.array([1]), "has the undeclared More"),
        ("Warm", pa.array([1]), "has the undeclared Warm"),
    ],
)
def test_a_file_of_other_types_or_columns_is_refused(
    tmp_path: Path, column: str, arrived: pa.Array, problem: str
) -> None:
    put(tmp_path, "2024-01-15.parquet", rows(**{column: arrived}))
    with pytest.raises(BadFile, match=f"2024-01-15.parquet' has .* than made declares: {problem}"):
        checked(made(tmp_path, NAME))


def test_what_is_cut_off_no_parquet_or_no_utf_8_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "2024-01-15.parquet", rows(note=pa.array(["x" * 1000])))
    whole = file.read_bytes()
    for content, problem in (
        (whole[:-1], "is cut off or is not parquet"),
        (whole[:6], "is cut off or is not parquet"),
        (b"", r"is empty \(0 bytes\)"),
        (b"place,line\na,1\n", "is cut off or is not parquet"),
    ):
        file.write_bytes(content)
        with pytest.raises(BadFile, match=problem):
            checked(made(tmp_path, NAME))
    latin = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xfc"]).buffers())
    put(tmp_path, "2024-01-15.parquet", rows(note=latin))
    with pytest.raises(BadFile, match="holds text that is not UTF-8 in the column 'note'"):
        checked(made(tmp_path, NAME))


def test_a_file_without_rows_is_a_day_on_which_nothing_happened(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-15.parquet", rows(warm=pa.array([1.5])).slice(0, 0))
    assert checked(made(tmp_path, NAME)) == ([], [])


def test_other_columns_may_be_left_out_nested_ones_too(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-15.parquet", rows(more=pa.array([[1]]), MORE=pa.array([1])))
    assert len(checked(made(tmp_path, NAME, extra="ignore"))[0]) == 1
    renamed = rows(warm=pa.array([1.5])).drop_columns("warm").append_column("Warm", pa.array([1.5]))
    put(tmp_path, "2024-01-15.parquet", renamed)
    with pytest.raises(BadFile, match="is 'Warm', declared is 'warm'"):
        checked(made(tmp_path, NAME, extra="ignore"))
