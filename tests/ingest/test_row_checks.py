"""The checks of landed rows, of whole files as ingest runs them and of one group as `./muster try` does."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from muster.context import Context
from muster.ingest.formats import csv_rows
from muster.ingest.row_checks import check_day, checked_schema, good_rows, own_reasons, typed_columns
from muster.ingest.sources.files import BadFile
from muster.ingest.sources.kinds import complete_arrivals
from muster.storage.store import Store
from muster.trial.landed_rows import LandedGroup, landed_group, landed_groups
from muster.workload.spec import Workload

WORKLOAD = Workload.model_validate(
    {
        "name": "made",
        "keys": ["place", "line"],
        "time": "at",
        "columns": {
            "place": "string",
            "line": "int",
            "at": "timestamp",
            "warm": "float? [-50, 50]",
            "open": "bool?",
            "built": "date?",
            "seats": "int? [1, ]",
        },
        "unique": ["place", "line", "at"],
        "label": {"column": "warm", "above": 0},
        "features": {"columns": ["hour"]},
        "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
        "windows": {"train": 14, "evaluate": 7},
        "schedule": {"start": "2024-01-01"},
    }
)
WHATEVER = WORKLOAD.model_copy(update={"max_refused": 1})
"""Takes any day: `try` refuses one that ingest does not take."""
DAY, NEXT = date(2024, 1, 5), date(2024, 1, 6)
WHOLE = b"""place,line,at,warm,open,built,seats
north,1,2024-01-05T06:00:00,1.5,true,2001-02-03,7
"a ""b"", c",2,2024-01-05T07:00:00,,,,
"two
lines",3,2024-01-05T08:00:00,2,,,1
"""
LINES = """\
north,1,2024-01-05T06:00:00,1.5,true,2001-02-03,7
north,+1,2024-01-05 07:00:00,,,,
north,1,2024-01-05T07:30:00.250,-50,N,,1
north, 1 ,2024-01-05T08:00:00Z,1e1,0,,
north,1,2024-01-05T09:00:00+01:00,2,,,
north,1,2024-01-05T22:30:00-0100,2,,,
north,1,2024-01-05T21:00:00,3,,,
north,1,2024-01-05,4,,,
north,1,2024-01-05T05:00,5,,,
north,1,2024-01-05T04:00Z,6,,,
north,1,2024-01-05T10:00:00,nan,,,
north,1,2024-01-05T11:00:00,inf,,,
north,1,2024-01-05T12:00:00,50.01,,,
north,1,2024-01-05T13:00:00,warm,maybe,,
north,1,2024-01-05T14:00:00,1,maybe,,
north,1,2024-01-05T15:00:00,1,,2001-02-30,
north,1,2024-01-05T16:00:00,1,,,0
north,1,2024-01-05T17:00:00,1,,,1.5
north,1,2024-01-06T00:00:00,1,,,
north,1,,1,,,
north,1,yesterday,1,,,
north,1,2024-01-05T18:00:00,1,,,
north,1,2024-01-05T18:00:00,1,,,
north,1,2024-01-05T19:00:00,1,,,
north,1,2024-01-05T19:00:00,2,,,
north,1,2024-01-05T20:00:00,1,,,
north,1,2024-01-05T20:00:00,99,,,
north,one,2024-01-05T20:00:00,1,,,
,1,2024-01-05T20:00:00,1,,,
"../../x ",1,2024-01-05T06:00:00,1,,,
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which one day is landed."""
    store = Store(str(tmp_path), WORKLOAD.name)
    put(store, LINES)
    return store


def put(store: Store, lines: str, day: date = DAY) -> None:
    path = Path(store.uri(store.landing)) / f"{day}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress((",".join(WORKLOAD.columns) + "\n" + lines).encode()))


def context(store: Store, workload: Workload = WORKLOAD) -> Context:
    return Context(workload, Path(), store)


def group_of(context: Context, days: list[date], group: str) -> LandedGroup:
    return landed_group(context, complete_arrivals(context, days), group)


def test_good_rows_have_their_values_and_the_names_of_observations(store: Store) -> None:
    rows = group_of(context(store, WHATEVER), [DAY], "north,1").rows.to_pylist()
    assert [f"{row['at']:%H:%M:%S.%f}" for row in rows] == [
        "06:00:00.000000",
        "07:00:00.000000",
        "07:30:00.250000",
        "23:30:00.000000",
        "21:00:00.000000",
        "00:00:00.000000",
        "05:00:00.000000",
        "04:00:00.000000",
        "18:00:00.000000",
        "20:00:00.000000",
    ]
    first = rows[0]
    assert (first["group"], first["row_id"], first["date"]) == ("north,1", "north,1,2024-01-05 06:00:00", DAY)
    assert [first[name] for name in ("line", "warm", "open", "built", "seats")] == [1, 1.5, True, date(2001, 2, 3), 7]
    assert (rows[1]["warm"], rows[1]["open"], rows[1]["built"], rows[1]["seats"]) == (None, None, None, None)


def test_a_group_of_the_files_has_the_rows_and_refusals_that_ingest_gives_it(store: Store) -> None:
    checked = check_day(context(store), DAY)
    assert checked.schema == checked_schema(WORKLOAD)
    by_group = pa.table({"group": pc.struct_field(checked["observation"], "group"), "reason": checked["reason"]})
    groups = {"north,1", '"../../x ",1'}
    assert landed_groups(context(store), complete_arrivals(context(store), [DAY]).values()) == groups
    for group in groups:
        ours = group_of(context(store, WHATEVER), [DAY], group)
        theirs = by_group.filter(pc.equal(by_group["group"], group))
        assert Counter(ours.refused) == Counter(theirs["reason"].drop_null().to_pylist())
        good = good_rows(WORKLOAD, checked)
        assert ours.rows == good.filter(pc.equal(good["group"], group))
    assert Counter(checked["reason"].to_pylist())["line: not of type int"] == 1


def test_another_groups_row_with_the_same_unique_values_is_seen_by_both(store: Store) -> None:
    workload = WHATEVER.model_copy(update={"unique": ("at",)})
    put(store, "north,1,2024-01-05T06:00:00,1,,,\nsouth,1,2024-01-05T06:00:00,2,,,\n")
    assert group_of(context(store, workload), [DAY], "north,1").refused == {
        "another row has the same at, not the same values": 1
    }


def test_codes_with_leading_zeros_are_no_numbers_where_they_make_a_group(store: Store) -> None:
    put(store, "".join(f"north,{line},2024-01-05T06:00:00,1,,,07\n" for line in ("7", "0", "+8", "007", "-07", " 07")))
    checked = check_day(context(store), DAY)
    assert [row["line"] for row in good_rows(WORKLOAD, checked).to_pylist()] == [7, 0, 8]
    assert checked["reason"].to_pylist()[3:] == ["line: a key with leading zeros; declare it as string"] * 3


def test_a_key_that_can_name_no_group_costs_its_row(store: Store) -> None:
    keys = ["x" * 1_000, "é" * 1_000, "x" * 1_001, "a\0b", "\0" + "x" * 3_000_000]
    put(store, "".join(f"{key},1,2024-01-05T06:00:00,1,,,\n" for key in keys))
    checked = check_day(context(store), DAY)
    assert [row["place"] for row in good_rows(WORKLOAD, checked).to_pylist()] == keys[:2]
    long, nul = "place: a key of more than 1,000 characters", "place: a key with a NUL character"
    assert checked["reason"].to_pylist()[2:] == [long, nul, nul]


@pytest.mark.parametrize(
    ("declared", "refused"),
    [
        ("int? [9007199254740993, 9007199254740995]", [9007199254740992, 9007199254740996]),
        ("int? [, 9223372036854775806]", [9223372036854775807]),
        ("int? [, 99999999999999999999]", []),
        ("int? [99999999999999999999, ]", "all"),
        ("int? [9007199254740993.0, 9.007199254740995e15]", [9007199254740992, 9007199254740996]),
        ("int? [1.5, ]", [1]),
        ("int? [-inf, 1e999999999]", []),
    ],
)
def test_limits_of_whole_numbers_are_exact(store: Store, declared: str, refused: Any) -> None:
    """As floats 9007199254740992 and ...993 are the same number."""
    big = 9007199254740992
    numbers = [1, 2, *range(big, big + 5), 2**63 - 2, 2**63 - 1] if isinstance(refused, list) else [2**63 - 1]
    if declared.startswith("int? [9007199254740993"):
        numbers = numbers[2:-2]
    workload = Workload.model_validate(
        WHATEVER.model_dump() | {"columns": WORKLOAD.model_dump()["columns"] | {"seats": declared}, "max_refused": 1}
    )
    put(store, "".join(f"n,1,2024-01-05T06:00:{at:02},1,,,{number}\n" for at, number in enumerate([*numbers, ""])))
    group = group_of(context(store, workload), [DAY], "n,1")
    expected = set(numbers) - set(numbers if refused == "all" else refused)
    assert [row["seats"] for row in group.rows.to_pylist()] == [*sorted(expected), None]
    assert sum(group.refused.values()) == len(numbers) - len(expected)
    if declared.startswith("int? [9007199254740993"):
        assert set(group.refused) == {"seats: below 9007199254740993", "seats: above 9007199254740995"}


def test_a_line_that_is_no_row_costs_no_other(store: Store) -> None:
    keys = ['12" pipe,1', '"12"" pipe",2', '"12" pipe",1', "a,1,1", "a", '"open,1', '"in\ntwo",1']
    put(store, "".join(f"{key},2024-01-05T06:00:00,1,,,\n" for key in keys))
    checked = check_day(context(store), DAY)
    assert [row["place"] for row in good_rows(WORKLOAD, checked).to_pylist()] == ['12" pipe', '12" pipe', "in\ntwo"]
    refused = checked.filter(pc.is_valid(checked["reason"])).to_pylist()
    assert {json.loads(row["row"]): row["reason"] for row in refused} == {
        '"12" pipe",1,2024-01-05T06:00:00,1,,,': "row: a quote is not closed, or not doubled",
        '"open,1,2024-01-05T06:00:00,1,,,': "row: a quote is not closed, or not doubled",
        "a,1,1,2024-01-05T06:00:00,1,,,": "row: more fields than columns",
        "a,2024-01-05T06:00:00,1,,,": "row: fewer fields than columns",
    }
    assert {row["observation"]["date"] for row in refused} == {DAY}


def test_the_same_id_on_two_days_is_two_observations(store: Store) -> None:
    workload = WORKLOAD.model_copy(update={"unique": ("place",)})
    put(store, "north,1,2024-01-05T06:00:00,1,,,\n")
    put(store, "north,1,2024-01-06T06:00:00,2,,,\n", NEXT)
    assert group_of(context(store, workload), [DAY, NEXT], "north,1").refused == {}


def test_a_spoilt_file_is_refused_or_read_and_the_size_of_blocks_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(0)
    spoiling = [b'"', b",", b"\n", b"\r", b"\r\n", b" ", b"\0", b"\xff", b"\xc3\xbc", b'""']
    file = Path(store.uri(store.landing)) / f"{DAY}.csv.gz"
    outcomes = set()
    for _ in range(100):
        content = bytearray(WHOLE.replace(b"\n", random.choice([b"\n", b"\r", b"\r\n"])))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(content))
            content[at : at + random.randint(0, 3)] = random.choice(spoiling)
        file.write_bytes(gzip.compress(bytes(content), compresslevel=1))
        results = set()
        for size in (2**20, 13):
            monkeypatch.setattr(csv_rows, "BLOCK_BYTES", size)
            try:
                results.add(str(sorted(map(str, check_day(context(store), DAY).to_pylist()))))
            except BadFile:
                results.add("refused")
        assert len(results) == 1, bytes(content)
        outcomes |= results
    assert len(outcomes) > 20


@pytest.mark.parametrize(
    ("column", "classes", "texts", "wrong"),
    [
        ("string?", ["none", "pump"], ["pump", "belt", "", "Pump"], [1, 3]),
        ("int?", [1, 3], ["1", "2", "", "+3"], [1]),
        ("bool?", [True, False], ["yes", "0", "", "true"], []),
    ],
)
def test_a_value_that_is_none_of_the_classes_is_refused(
    column: str, classes: list[Any], texts: list[str], wrong: list[int]
) -> None:
    declared = WORKLOAD.model_dump(exclude={"outcome", "columns", "gate", "algorithms", "schedule"})
    workload = Workload.model_validate(
        declared
        | {"columns": {"place": "string", "line": "int", "at": "timestamp", "part": column}}
        | {"outcome": {"classes": {"column": "part", "values": classes}}}
        | {"algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"}, "schedule": {"start": "2024-01-01"}}
    )
    parts = pa.array([text or None for text in texts], pa.string())
    same = {"place": "north", "at": "2024-01-05T06:00:00"}
    rows = {name: pa.array([value] * len(texts)) for name, value in same.items()}
    rows["line"] = pa.array([str(number) for number in range(len(texts))])
    batch = pa.RecordBatch.from_pydict({**rows, "part": parts}).select(["place", "line", "at", "part"])
    reasons = own_reasons(workload, DAY, batch, typed_columns(workload, batch)).to_pylist()
    expected = ["part: none of the declared classes" if number in wrong else None for number in range(len(texts))]
    assert reasons == expected


@pytest.mark.parametrize(
    ("column", "texts", "wrong"),
    [
        ("float", ["1", "0.001", "0", "-0.0", "-3", "1e-90"], [2, 3, 4]),
        ("float", ["1e400", "-1e400", "7", "1e308", "1e-300"], [0, 1, 3, 4]),
        ("int", ["1", "0", "-7", "9223372036854775807"], [1, 2]),
    ],
)
def test_a_weight_that_is_no_number_above_0_is_refused(column: str, texts: list[str], wrong: list[int]) -> None:
    declared = WORKLOAD.model_dump(exclude={"columns", "gate", "algorithms", "schedule"})
    workload = Workload.model_validate(
        declared
        | {"columns": {"place": "string", "line": "int", "at": "timestamp", "warm": "float?", "fares": column}}
        | {"algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"}, "schedule": {"start": "2024-01-01"}}
        | {"weight": "fares"}
    )
    numbers = [str(number) for number in range(len(texts))]
    same = {"place": "north", "at": "2024-01-05T06:00:00", "warm": "1"}
    rows = {**{name: [value] * len(texts) for name, value in same.items()}, "line": numbers, "fares": texts}
    batch = pa.RecordBatch.from_pydict({name: pa.array(rows[name]) for name in workload.columns})
    reasons = own_reasons(workload, DAY, batch, typed_columns(workload, batch)).to_pylist()
    refused = [number for number, reason in enumerate(reasons) if reason is not None]
    assert refused == wrong
    assert {reasons[number] for number in wrong} <= {
        "fares: no weight, which is a number above 0, 1e100 at most",
        "fares: not of type float",
    }
