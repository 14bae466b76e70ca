"""Rules across columns: how they read, what is refused at load, and which rows they refuse."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from muster.context import Context
from muster.ingest.row_checks import check_rows
from muster.ingest.sources.kind import RowBlock
from muster.storage.store import Store
from muster.workload.checks import rules
from muster.workload.rule import Rule, parse_rule
from muster.workload.spec import Workload
from tests.landed import check_days

DECLARED: dict[str, Any] = {
    "name": "made",
    "keys": ["pair"],
    "time": "at",
    "columns": {
        **{"pair": "string", "other": "string?", "at": "timestamp", "asked": "timestamp?", "due": "date?"},
        **{"bid": "float?", "ask": "float?", "lots": "int?", "open": "bool?", "calm": "bool?"},
    },
    "unique": ["pair", "at"],
    "label": {"column": "bid", "above": 0},
    "features": {"columns": ["spread"]},
    "algorithms": {"forest": "sklearn.ensemble.IsolationForest"},
    "windows": {"train": 14, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
}
DAY = date(2024, 1, 5)
RULES = {
    "crossed": "bid <= ask",
    "stale": "asked >= at - 1.5 min",
    "overdue": "at<due+12h",
    "small": "lots > bid - 2",
    "same": "pair != other",
    "shut": "open == calm",
}
LINES = """\
a,,2024-01-05T06:00:00,,,1,1,,,
a,,2024-01-05T06:01:00,,,1.0000001,1,,,
a,,2024-01-05T06:02:00,,,0.1,0.10,,,
a,,2024-01-05T06:03:00,,,,1,,,
a,,2024-01-05T06:04:00,2024-01-05T06:02:30,,,,,,
a,,2024-01-05T06:05:00,2024-01-05T06:03:29.999999,,,,,,
a,,2024-01-05T06:06:00,2024-01-05T07:04:30+01:00,,,,,,
a,,2024-01-05T11:59:59.999999,,2024-01-05,,,,,
a,,2024-01-05T12:00:00,,2024-01-05,,,,,
a,,2024-01-05T12:00:01,,2024-01-06,,,,,
a,,2024-01-05T06:08:00,,,9,,7,,
a,,2024-01-05T06:09:00,,,9,,8,,
a,,2024-01-05T06:10:00,,,9007199254740995,,9007199254740993,,
a,a,2024-01-05T06:11:00,,,,,,,
a,A,2024-01-05T06:12:00,,,,,,,
a,"",2024-01-05T06:13:00,,,,,,,
a,,2024-01-05T06:14:00,,,,,,true,1
a,,2024-01-05T06:15:00,,,,,,true,no
a,,2024-01-05T06:16:00,,,,,,,no
a,a,2024-01-05T06:17:00,2024-01-05T05:00:00,,2,1,,true,no
a,a,2024-01-05T06:18:00,,,2,1,x,,
a,,2024-01-05T06:19:00,,,2,1,,,
a,,2024-01-05T06:19:00,,,2,1,,,
"""
REFUSED = {"crossed": 4, "stale": 1, "overdue": 1, "small": 2, "same": 1, "shut": 1, "lots: not of type int": 1}


def workload(**rules: str) -> Workload:
    return Workload.model_validate({**DECLARED, "rules": rules})


def problems(rule: str) -> list[str]:
    return [why for path, why in rules(workload(made=rule)) if path == "rules.made"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in which one day is landed."""
    store = Store(str(tmp_path), "made")
    Path(store.uri(store.landing)).mkdir(parents=True)
    text = ",".join(DECLARED["columns"]) + "\n" + LINES
    (Path(store.uri(store.landing)) / f"{DAY}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return store


def test_a_rule_is_two_columns_compared_the_second_with_an_amount_or_without() -> None:
    assert workload(made="bid<=ask").rules["made"] == Rule(left="bid", comparison="<=", right="ask")
    amount = Rule(left="asked", comparison=">=", right="at", plus=-1.5, unit="min")
    assert workload(made=" asked >= at - 1.5 min ").rules["made"] == amount


@pytest.mark.parametrize(
    "text",
    [
        *("bid", "bid <=", "bid <= 1", "bid <= ask <= lots", "bid <= ask * 2", "bid = ask", "bid <= ask + 1e9"),
        *(7, None, ["bid <= ask"]),
        *("bid <= ask; DROP TABLE", "__import__('os') <= ask", "bid <= (ask)", "bid <= ask + inf", "b\u0131d <= ask"),
    ],
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no rule: write two columns compared"):
        parse_rule(text)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("bid <= aks", "'aks' is none of the declared columns"),
        ("bid <= bid + 1", "compares 'bid' with itself"),
        ("bid <= at", "'bid' and 'at' are of types that cannot be compared"),
        ("pair == open", "'pair' and 'open' are of types that cannot be compared"),
        ("pair < other", "'pair' is neither a number nor a time: it can be compared by == and != only"),
        ("asked <= at + 10", "the amount needs a unit of time"),
        ("bid <= ask + 1 h", "the amount has the unit 'h', but 'bid' is a number"),
    ],
)
def test_columns_that_cannot_be_compared_are_told_at_load(rule: str, problem: str) -> None:
    assert any(problem in message for message in problems(rule))


@pytest.mark.parametrize("rule", RULES.values())
def test_columns_of_one_kind_can_be_compared(rule: str) -> None:
    assert problems(rule) == []


LIMIT, ID = 2**63, 1_704_700_800_000_000_000


@pytest.mark.parametrize(
    ("rule", "left", "right", "holds"),
    [
        ("a < b", 2**53, 2**53 + 1, True),
        ("a == b", ID, ID + 100, False),
        ("a <= b + 1", 2**53 + 2, 2**53, False),
        ("a <= b + 1", 2**53 + 1, 2**53, True),
        ("a < b - 0.5", ID, ID + 1, True),
        ("a < b - 1.5", ID, ID + 1, False),
        ("a < b + 1", LIMIT - 1, LIMIT - 1, True),
        ("a < b + 1", LIMIT - 1, -LIMIT, False),
        ("a > b - 1", -LIMIT, LIMIT - 1, False),
        ("a >= b - 1", -LIMIT, -LIMIT, True),
    ],
)
def test_whole_numbers_are_compared_exactly(rule: str, left: int, right: int, holds: bool) -> None:
    parsed = Rule(**parse_rule(rule))
    assert parsed.holds(np.array([left]), np.array([right])).tolist() == [holds]


def test_whole_numbers_and_times_stay_exact_from_the_text_on() -> None:
    columns = DECLARED["columns"] | {"all": "int?"}
    exact = {"fewer": "lots < all", "due": "asked == due"}
    declared = Workload.model_validate({**DECLARED, "columns": columns, "rules": exact})
    rows = [
        {"lots": "9007199254740992", "all": "9007199254740993"},
        {"lots": "9007199254740993", "all": "9007199254740993"},
        {"asked": "9999-12-31T00:00:00", "due": "9999-12-31"},
        {"asked": "9999-12-31T00:00:00.000001", "due": "9999-12-31"},
        {"lots": "1"},
    ]
    landed = [{"pair": "a", "at": f"2024-01-05T06:0{number}:00", **row} for number, row in enumerate(rows)]
    texts = pa.RecordBatch.from_pylist(landed, pa.schema([(name, pa.string()) for name in columns]))
    reasons = check_rows(declared, DAY, [RowBlock(texts)])["reason"].to_pylist()
    assert reasons == [None, "fewer", None, "due", None]


def test_a_row_is_refused_by_the_name_of_the_first_rule_that_it_breaks(store: Store) -> None:
    declared = workload(**RULES)
    assert check_days(Context(declared, Path(), store), [DAY]).refused == REFUSED
