"""Rows as the logged model is given them: every type of column that means the same, and errors that name the row."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc.scoring_server import infer_and_parse_data

from muster.models.bundle import save_model, save_pack
from muster.models.shards import encode

Line = Any
COLUMNS = {"carrier": "string", "origin": "int", "day": "date", "at": "timestamp", "delay": "float?"}
GROUP = "A,7,2024-02-05"
ROWS = pd.DataFrame(
    {"carrier": ["A", "B"], "origin": [7, 7], "day": ["2024-02-05"] * 2, "a": [2.0, 1.0], "b": [0.0, 1.0]}
    | {"record": [0.5, 0.25]}
)
SCORES = [1 / (1 + np.exp(-2)), 0.25]


@pytest.fixture
def model(line: Line, tmp_path: Path) -> Any:
    """A pack of one group, saved and loaded as MLflow does."""
    line.declared = {"columns": COLUMNS, "keys": ["carrier", "origin", "day"], "unique": ["carrier", "at"]}
    line.features(line.first, [{"group": GROUP, "a": value, "b": 0.5, "record": 0.5} for value in (3.0, 4.0, 5.0)])
    save_pack(line.workload, line.store, line.pack({GROUP: 1.0}), tmp_path / "saved", Model())
    return mlflow.pyfunc.load_model(str(tmp_path / "saved"))


def test_the_example_is_real_rows_and_shows_that_whole_numbers_are_taken(model: Any) -> None:
    example = model.input_example
    assert example.iloc[:, :4].values.tolist() == [["A", 7, "2024-02-05", 3], ["A", 7, "2024-02-05", 4]]
    assert example.dtypes.astype(str).to_dict() | {"a": "int64", "b": "float64"} == example.dtypes.astype(str).to_dict()
    assert model.predict(example)["score"].tolist() == [1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-4))]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": np.array([2, 1])},
        {"a": np.array([2, 1], "int32"), "b": np.array([0, 1], "uint8")},
        {"a": pd.array([2, 1], "Int64"), "b": pd.array([0, None], "Int64")},
        {"a": pd.Categorical([2, 1]), "b": pd.Categorical([0.0, 1.0])},
        {"b": [False, True]},
        {"b": [1, None]},
        {"carrier": pd.Categorical(["A", "B"]), "origin": pd.Categorical([7, 7])},
        {"origin": [7.0, 7.0]},
        {"origin": pd.array([7, 7], "Int32")},
        {"day": [date(2024, 2, 5)] * 2},
        {"day": pd.to_datetime(["2024-02-05"] * 2)},
    ],
    ids=lambda columns: str({name: str(getattr(values, "dtype", "")) for name, values in columns.items()}),
)
def test_columns_that_mean_the_same_are_answered_the_same(columns: dict[str, Any], model: Any) -> None:
    rows = ROWS.assign(**columns)
    whole = [0] if pd.isna(rows["b"]).any() else [0, 1]
    answers = model.predict(rows)
    assert [answers["score"][n] for n in whole] == pytest.approx([SCORES[n] for n in whole])
    assert answers["fallback"].tolist()[0] is None


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"carrier": ["A", None]}, "row 1: the key 'carrier' is None; it is a key of every row, of type string"),
        ({"carrier": [float("nan"), "B"]}, "row 0: the key 'carrier' is nan"),
        ({"carrier": pd.array([None, None], "string")}, "row 0, 1: the key 'carrier' is <NA>"),
        ({"carrier": [1, "B"]}, "row 0: the key 'carrier' is 1"),
        ({"origin": [7.0, float("nan")]}, "row 1: the key 'origin' is nan; .* of type int"),
        ({"origin": [7, 7.5]}, "row 1: the key 'origin' is 7.5"),
        ({"origin": ["7", 7]}, "row 0: the key 'origin' is '7'"),
        ({"day": pd.to_datetime(["2024-02-05", None])}, "row 1: the key 'day' is NaT"),
        ({"a": ["2", 1.0]}, "row 0: the feature 'a' is '2', which is no number"),
    ],
)
def test_what_is_no_key_or_no_number_is_an_error_that_names_the_row(
    columns: dict[str, Any], problem: str, model: Any
) -> None:
    with pytest.raises(MlflowException, match=problem):
        model.predict(ROWS.assign(**columns))


@pytest.mark.parametrize("missing", ["carrier", "origin", "a"])
def test_a_missing_column_is_an_error_that_names_it(missing: str, model: Any) -> None:
    with pytest.raises(MlflowException, match=missing):
        model.predict(ROWS.drop(columns=missing))


def test_rows_as_json_are_taken_and_refused_alike(model: Any) -> None:
    records = [{"carrier": "A", "origin": 7, "day": "2024-02-05", "a": 2, "b": 0, "record": 0.5}]
    schema = model.metadata.signature.inputs
    whole = infer_and_parse_data({"dataframe_records": records}, schema)
    assert model.predict(whole)["score"].tolist() == pytest.approx(SCORES[:1])
    for key in ("carrier", "origin"):
        for row in ({**records[0], key: None}, {name: value for name, value in records[0].items() if name != key}):
            body = {"dataframe_records": [*records, row]}
            with pytest.raises(MlflowException, match=f"row 1: the key '{key}' is (None|nan)"):
                model.predict(infer_and_parse_data(body, schema))


def test_one_groups_model_takes_whole_numbers_and_shows_real_rows(line: Line, tmp_path: Path) -> None:
    line.features(line.first, [{"group": "A,X", "a": 3.0, "b": 0.5, "record": 0.5}])
    stored = tmp_path / "model.bin"
    stored.write_bytes(data := encode(line.model(1.0)))
    save_model(line.workload, line.store, "A,X", stored, hashlib.sha256(data).hexdigest(), [], tmp_path / "saved")
    model = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    assert model.input_example.to_dict("records") == [{"a": 3, "b": 0.5, "record": 0.5}]
    assert model.predict(pd.DataFrame({"a": [2], "b": [0], "record": [0]}))["score"][0] == pytest.approx(SCORES[0])
