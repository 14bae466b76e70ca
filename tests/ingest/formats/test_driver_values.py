"""What drivers give, read as the declared types or refused with the column and the rule."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from muster.ingest.formats.driver_values import values_batch
from muster.ingest.formats.opened import BadContent
from muster.ingest.typed import typed
from muster.workload.column import ColumnType
from muster.workload.spec import Workload
from tests.ingest.formats.made import DAY, DECLARED

OF_TYPE = {"string": "note", "int": "line", "float": "warm", "bool": "open", "date": "built", "timestamp": "at"}
NOON = datetime(2024, 1, 15, 12)
BERLIN = timezone(timedelta(hours=1))
WORKLOAD = Workload.model_validate(DECLARED)
READ: list[tuple[ColumnType, Any, Any]] = [
    ("string", "LGA", "LGA"),
    ("string", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("int", 7, 7),
    ("int", Decimal("7"), 7),
    ("int", Decimal("7E+2"), 700),
    ("int", "007", 7),
    ("int", 2**63, None),
    ("int", Decimal("NaN"), None),
    ("float", 7, 7.0),
    ("float", 7.25, 7.25),
    ("float", Decimal("7.25"), 7.25),
    ("float", "7.25", 7.25),
    ("float", 10**400, None),
    ("float", float("nan"), None),
    ("float", Decimal("Infinity"), None),
    ("bool", True, True),
    ("bool", "0", False),
    ("date", DAY, DAY),
    ("date", "2024-01-15", DAY),
    ("timestamp", NOON, NOON.replace(tzinfo=UTC)),
    ("timestamp", NOON.replace(tzinfo=BERLIN), datetime(2024, 1, 15, 11, tzinfo=UTC)),
    ("timestamp", datetime(1, 1, 1, tzinfo=BERLIN), None),
    ("timestamp", DAY, datetime(2024, 1, 15, tzinfo=UTC)),
    ("timestamp", "2024-01-15 12:00:00", NOON.replace(tzinfo=UTC)),
]
REFUSED: list[tuple[ColumnType, Any, str]] = [
    ("string", 7, "'note' is int, declared is string, which is read of UUID, str"),
    ("string", memoryview(b"x"), "'note' is memoryview"),
    ("string", {"a": 1}, "'note' is dict"),
    ("int", 7.0, "'line' is float, declared is int, which is read of int, Decimal, str"),
    ("int", Decimal("7.00"), "'line' is Decimal with digits after the point, declared is int"),
    ("int", True, "'line' is bool"),
    ("float", True, "'warm' is bool"),
    ("bool", 1, "'open' is int, declared is bool, which is read of bool, str"),
    ("date", NOON, "'built' is datetime"),
    ("timestamp", time(6), "'at' is time"),
    ("timestamp", timedelta(1), "'at' is timedelta"),
    ("timestamp", 1705309200, "'at' is int"),
]


def row(kind: ColumnType, value: object) -> list[object]:
    row = {"place": "a", "line": 1, "at": NOON, "warm": None, "open": None, "built": None, "note": None}
    return list({**row, OF_TYPE[kind]: value}.values())


@pytest.mark.parametrize(("kind", "value", "read"), READ)
def test_a_value_that_reads_as_the_declared_type(kind: ColumnType, value: Any, read: Any) -> None:
    column = values_batch(WORKLOAD, [row(kind, value)])[OF_TYPE[kind]]
    assert (column.null_count, typed(column, kind).to_pylist()) == (0, [read])


@pytest.mark.parametrize(("kind", "value", "problem"), REFUSED)
def test_a_column_of_another_type_is_refused_with_the_rule(kind: ColumnType, value: Any, problem: str) -> None:
    with pytest.raises(BadContent) as error:
        values_batch(WORKLOAD, [row(kind, None), row(kind, value)])
    assert problem in str(error.value)


def test_one_value_beyond_the_type_costs_no_other_its_own() -> None:
    values = [7, None, 2**64, Decimal(8)]
    column = values_batch(WORKLOAD, [row("int", value) for value in values])["line"]
    assert typed(column, "int").to_pylist() == [7, None, None, 8]
    mixed = values_batch(WORKLOAD, [row("timestamp", value) for value in (NOON, "2024-01-15", date(2024, 1, 16))])
    assert [moment.day for moment in typed(mixed["at"], "timestamp").to_pylist()] == [15, 15, 16]


def test_no_rows_are_a_block_of_none() -> None:
    assert values_batch(WORKLOAD, []).num_rows == 0
