"""The one feature function, checked, and the parents' names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from muster.features.compute import PARENT_COLUMN, BadFeatures, compute, row_schema, with_parent_names
from muster.storage.tables import observations_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

DECLARED = {
    "name": "made",
    "keys": ["place", "line"],
    "time": "at",
    "columns": {"place": "string", "line": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "line", "at"],
    "label": {"column": "delay", "above": 15},
    "features": {"columns": ["hour", "late"], "lookback": 7},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "pack": {"fallback": {"keys": ["line"], "share": 0.5}},
    "schedule": {"start": "2024-01-01"},
}
WORKLOAD = Workload.model_validate(DECLARED)
ALL = DateRange(date(2024, 1, 1), date(2024, 2, 1))
ROWS = [
    ("b,1", "b,1 later", 2, 9, None),
    ("b,1", "b,1 first", 1, 8, 15.0),
    ("a,*", "second", 1, 7, 15.5),
    ("a,*", "first", 1, 7, -3.0),
]


def observations() -> pa.Table:
    rows = [
        {
            "place": group[0],
            "line": group[2],
            "at": datetime(2024, 1, day, hour, tzinfo=UTC),
            "delay": delay,
            "group": group,
            "bucket": 0,
            "row_id": row_id,
            "date": date(2024, 1, day),
        }
        for group, row_id, day, hour, delay in ROWS
    ]
    return pa.Table.from_pylist(rows, observations_schema(WORKLOAD))


def hour_and_label(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"late": rows["label"], "hour": rows["at"].dt.hour}, index=rows.index)


def test_rows_come_sorted_with_their_label_as_table_features_has_them() -> None:
    result = compute(WORKLOAD, hour_and_label, observations(), ALL)
    assert result.schema == row_schema(WORKLOAD)
    assert result["row_id"].to_pylist() == ["first", "second", "b,1 first", "b,1 later"]
    assert result["hour"].to_pylist() == [7, 7, 8, 9]
    assert result["label"].to_pylist() == [0, 1, 0, None]


def test_the_function_sees_all_rows_and_only_the_days_asked_for_are_returned() -> None:
    row_counts = []

    def remember(rows: pd.DataFrame) -> pd.DataFrame:
        row_counts.append(len(rows))
        return hour_and_label(rows)

    result = compute(WORKLOAD, remember, observations(), DateRange(date(2024, 1, 2), date(2024, 1, 3)))
    assert (row_counts, result["row_id"].to_pylist()) == ([4], ["b,1 later"])


def test_a_function_that_writes_into_its_rows_changes_no_other_column() -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        result = hour_and_label(rows)
        rows["label"] = 1.0
        rows["row_id"] = "spoilt"
        return result

    assert compute(WORKLOAD, spoil, observations(), ALL).equals(compute(WORKLOAD, hour_and_label, observations(), ALL))


def test_a_declared_type_is_one_dtype_whatever_is_missing_and_wherever_the_rows_come_from() -> None:
    columns = {"whole": "int?", "number": "float?", "truth": "bool?", "day": "date?", "when": "timestamp?"}
    columns["note"] = "string?"
    workload = Workload.model_validate({**DECLARED, "columns": DECLARED["columns"] | columns})
    schema = observations_schema(workload)
    have = [{"whole": 2**60 + 1, "number": 1.5, "truth": True, "day": date(9999, 12, 31), "note": "x"}, {}]
    have[0]["when"] = datetime(9999, 12, 31, tzinfo=UTC)
    seen = []

    def remember(rows: pd.DataFrame) -> pd.DataFrame:
        seen.append(rows)
        assert (~rows[["truth"]])["truth"].dtype == "boolean"
        return hour_and_label(rows)

    rows = [row | more for row in observations().to_pylist()[:1] for more in have]
    of_table = pa.Table.from_pylist(rows, schema)
    of_pandas = pa.Table.from_pandas(of_table.to_pandas().iloc[:1], schema=schema, preserve_index=False)
    tables = [of_table, of_table[:1], of_table[1:], of_pandas, of_table.drop_columns("bucket")]
    for table in tables:
        compute(workload, remember, table, ALL)
    dtypes = [dict(frame.dtypes.astype(str)) for frame in seen]
    assert dtypes == [dtypes[0]] * len(tables)
    assert dtypes[0] == {
        **{"place": "object", "line": "object", "at": "datetime64[us, UTC]", "delay": "float64", "whole": "Int64"},
        **{"number": "float64", "truth": "boolean", "day": "datetime64[ms]", "when": "datetime64[us, UTC]"},
        **{"note": "object", "group": "object", "row_id": "object", "date": "datetime64[ms]", "label": "float64"},
    }
    assert (seen[1]["whole"][0], seen[1]["day"][0].year, seen[1]["when"][0].year) == (2**60 + 1, 9999, 9999)


def test_infinite_values_are_kept_for_training_to_record() -> None:
    def infinite(rows: pd.DataFrame) -> pd.DataFrame:
        return hour_and_label(rows).assign(hour=np.inf)

    assert np.isinf(compute(WORKLOAD, infinite, observations(), ALL)["hour"].to_numpy()).all()


def test_booleans_and_missing_integers_become_floats() -> None:
    def typed(rows: pd.DataFrame) -> pd.DataFrame:
        whole = pd.array([1, None, 2, 3], dtype="Int64")
        return pd.DataFrame({"hour": whole, "late": rows["label"] > 0}, index=rows.index)

    result = compute(WORKLOAD, typed, observations(), ALL)
    assert result["hour"].to_pylist()[2:] == [2, 3]
    assert np.isnan(result.to_pandas()["hour"][1])
    assert result["late"].to_pylist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda result: result["hour"], "returned a Series; return a pandas DataFrame"),
        (lambda result: result[["hour"]], "its result lacks late"),
        (lambda result: result.assign(extra=1, group="x"), "has the undeclared extra, group"),
        (lambda result: result[["hour", "late", "hour"]], "has a column twice"),
        (lambda result: result[1:], "returned 3 rows for 4"),
        (lambda result: result.set_axis([3, 2, 1, 0]), "another index"),
        (lambda result: result.assign(hour="noon"), "'hour' is of type"),
    ],
)
def test_a_wrong_result_is_refused_with_the_rule(wrong: Callable[[pd.DataFrame], Any], problem: str) -> None:
    with pytest.raises(BadFeatures, match=f"'features' of made: .*{problem}"):
        compute(WORKLOAD, lambda rows: wrong(hour_and_label(rows)), observations(), ALL)


def test_each_row_knows_the_parent_that_pools_its_group() -> None:
    rows = pa.table({"group": ['"x,y",EWR', "b,JFK", '"*",EWR']})
    assert with_parent_names(WORKLOAD, rows)[PARENT_COLUMN].to_pylist() == ["*,EWR", "*,JFK", "*,EWR"]


def test_without_a_parent_declared_there_are_none() -> None:
    alone = Workload.model_validate(DECLARED | {"pack": {"fallback": "baseline"}})
    assert with_parent_names(alone, pa.table({"group": ["a,b"]}))[PARENT_COLUMN].to_pylist() == [None]


def test_the_weight_is_carried_and_a_row_that_has_none_is_left_out() -> None:
    """As ingest let in before the weight was declared: below, at and above 0, and none. The function never sees it."""
    columns = {**DECLARED["columns"], "fares": "int"}  # type: ignore[dict-item]
    workload = Workload.model_validate(DECLARED | {"columns": columns, "weight": "fares"})
    fares = [-1, 0, 7, None]
    rows = [row | {"fares": each} for row, each in zip(observations().to_pylist(), fares, strict=True)]
    seen = []

    def remember(given: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(given))
        return hour_and_label(given)

    result = compute(workload, remember, pa.Table.from_pylist(rows, observations_schema(workload)), ALL)
    assert result.schema == row_schema(workload)
    assert result.select(["row_id", "sample_weight"]).to_pylist() == [{"row_id": "second", "sample_weight": 7.0}]
    assert seen == [1]
