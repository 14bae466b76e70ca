"""Rows' ids are those that the columns of `unique` give them now, or are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from muster.ingest.names import OtherRowIds, check_row_ids
from muster.storage.tables import observations_schema
from muster.workload.spec import Workload

DECLARED = {
    "name": "made",
    "keys": ["depot"],
    "time": "at",
    "columns": {"id": "string", "depot": "string", "courier": "int", "at": "timestamp", "late": "float?"},
    "label": {"column": "late", "above": 0},
    "features": {"columns": ["late"]},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 2, "evaluate": 1},
    "schedule": {"start": "2024-01-08"},
}


def declared(*unique: str) -> Workload:
    return Workload.model_validate({**DECLARED, "unique": unique})


def rows(*ids: str) -> pa.Table:
    """Return a row a day, of these ids."""
    row = {"id": "x", "depot": "a", "courier": 7}
    days = [
        row | {"at": datetime(2024, 1, day, 10, tzinfo=UTC), "row_id": row_id, "date": date(2024, 1, day)}
        for day, row_id in enumerate(ids, 8)
    ]
    return pa.Table.from_pylist(days, observations_schema(declared("id")))


@pytest.mark.parametrize(
    ("unique", "row_id"), [(["id"], "x"), (["id", "courier"], "x,7"), (["id", "at"], "x,2024-01-08 10:00:00")]
)
def test_ids_of_the_declared_columns_are_as_ingest_gives_them(unique: list[str], row_id: str) -> None:
    check_row_ids(declared(*unique), rows(row_id))
    check_row_ids(declared(*unique), rows())


def test_ids_of_other_columns_are_refused_with_their_days() -> None:
    with pytest.raises(
        OtherRowIds,
        match=r"of 2024-01-09, 2024-01-10 have other ids than 'unique: \[id, courier\]' .* rewritten: .*migrate made$",
    ):
        check_row_ids(declared("id", "courier"), rows("x,7", "x", "x"))
