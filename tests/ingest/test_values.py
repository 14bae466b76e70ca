"""What a landed text means: one table for all that reads one."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from muster import groups
from muster.ingest.names import names
from muster.ingest.values import READ, value, values

FIVE_PAST_SIX = datetime(2024, 1, 5, 6, 5, tzinfo=UTC)
CASES: dict[str, dict[str, Any]] = {
    "int": {
        **{"7": 7, " +7\t": 7, "-0": 0, "007": 7, "0" * 30 + "1": 1},
        **{"1234567890123456789": 1234567890123456789, "9223372036854775807": 2**63 - 1},
        **{"-9223372036854775808": -(2**63), "9223372036854775808": None, "-9223372036854775809": None},
        **dict.fromkeys(["1.0", "1e3", "0x1F", "1_000", "1,5", "\u0663", "", "-", "7 7", "nan"]),
    },
    "float": {
        **{"1.5": 1.5, " +1.5 ": 1.5, "1.": 1.0, ".5": 0.5, "1e3": 1000.0, "-1E-2": -0.01, "1e-400": 0.0},
        **{"0.1": 0.1, "9007199254740993": 2.0**53, "1.7976931348623157e308": 1.7976931348623157e308},
        **dict.fromkeys(["1.5d", "1.5f", "0x1p3", "1e400", "-1e400", "nan", "NaN", "inf", "1_0", "1,5", ""]),
    },
    "bool": {"TRUE": True, " y ": True, "1": True, "f": False, "No": False, "0": False, "maybe": None, "": None},
    "date": {
        **{"2024-01-08": date(2024, 1, 8), "2024-1-8": date(2024, 1, 8), "2024-02-29": date(2024, 2, 29)},
        **{"0001-01-01": date.min, "9999-12-31": date.max, "2024-01-08T00:00:00.000": date(2024, 1, 8)},
        **dict.fromkeys(["2024", "2024-01", "20240108", "08.01.2024", "2023-02-29", "2024-02-30", "2024-13-01"]),
        **dict.fromkeys(["10000-01-01", "0000-01-01", "2024-01-08 12:00", "2024-W02-1", "today", ""]),
    },
    "timestamp": {
        **{"2024-01-05T06:05:00": FIVE_PAST_SIX, "2024-01-05 6:5": FIVE_PAST_SIX, " 2024-01-05T06:05Z ": FIVE_PAST_SIX},
        **{"2024-01-05T07:05:00+01": FIVE_PAST_SIX, "2024-01-05T05:05:00-0100": FIVE_PAST_SIX},
        **{"2024-01-05 06:05:00 UTC": FIVE_PAST_SIX, "2024-01-05T11:50:00.0+05:45": FIVE_PAST_SIX},
        "2024-01-05T06:05:00.123456": FIVE_PAST_SIX.replace(microsecond=123456),
        "2024-01-05T06:05:00.123456789": FIVE_PAST_SIX.replace(microsecond=123456),
        "2024-01-05T06:05:00.25": FIVE_PAST_SIX.replace(microsecond=250_000),
        **{"0001-01-01": datetime(1, 1, 1, tzinfo=UTC), "9999-12-31": datetime(9999, 12, 31, tzinfo=UTC)},
        "9999-12-31T23:59:59.999999": datetime.max.replace(tzinfo=UTC),
        **dict.fromkeys(["2024", "2024-01", "20240108T100000", "08.01.2024 10:00", "1704448800", "06:05:00", ""]),
        **dict.fromkeys(["2024-01-05T06:05:00 Europe/Berlin", "2024-01-05T06:05:00+19:00", "2024-01-05T06:05+01:60"]),
        **dict.fromkeys(["2024-01-05T24:00:00", "2024-01-05T06:60:00", "2024-01-05T06:05:60", "2023-02-29T06:05:00"]),
        **dict.fromkeys(["10000-01-01", "0001-01-01T00:00+01", "9999-12-31T23:59:59-01", "2024-01-05T06:05:00,5"]),
    },
}


@pytest.mark.parametrize("kind", CASES)
def test_a_text_has_the_value_that_the_table_says(kind: Any) -> None:
    for text, expected in CASES[kind].items():
        assert values(pa.array([text]), kind).to_pylist() == [expected], text
        assert value(text, kind) == expected, text


@pytest.mark.parametrize("kind", CASES)
def test_what_stands_beside_a_text_changes_nothing(kind: Any) -> None:
    """Plain texts are read by Arrow, a block at a time, others one by one: together or apart, they mean the same."""
    texts = [None, *CASES[kind]]
    for alphabet in ("0123456789", "0123456789-+.:TZe "):
        made = random.Random(alphabet)
        digits = ["".join(made.choices(alphabet, k=made.randint(1, 20))) for _ in range(300)]
        texts += [text for text in digits + ["2024-0" + text for text in digits] if text not in CASES[kind]]
    read = values(pa.array(texts, pa.string()), kind).to_pylist()
    assert read == [None if text is None else READ[kind](text.strip()) for text in texts]


def test_names_are_those_that_groups_gives_row_by_row() -> None:
    odd = ["plain", "a,b", 'say "no"', "*", "", " padded", "padded\t", "\u2003wide\u00a0", "line\nbreak", "\x1f", "ü😀"]
    numbers = [number % 3 for number in range(len(odd))]
    assert names([pa.array(odd), pa.array(numbers)]).to_pylist() == [
        groups.name(pair) for pair in zip(odd, numbers, strict=True)
    ]


def test_times_in_names_are_without_what_is_zero_at_their_end() -> None:
    at = values(pa.array(["2024-01-05", "2024-01-05T10:00:00.250", "0001-01-01T00:00:10"]), "timestamp")
    assert names([at]).to_pylist() == ["2024-01-05 00:00:00", "2024-01-05 10:00:00.25", "0001-01-01 00:00:10"]
    assert names([at[:1], pa.array([True]), pa.array([1.0]), pa.array([date(2024, 1, 5)])]).to_pylist() == [
        "2024-01-05 00:00:00,true,1.0,2024-01-05"
    ]
    assert names([pa.array(["a", None]), pa.array(["b", "b"])]).to_pylist() == ["a,b", None]
