"""A declared weight, and what is said of one that does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workload.test_outcome import DECLARED, loaded, problems

COLUMNS = {**DECLARED["columns"], "fares": "float", "seats": "int", "heavy": "float?"}  # type: ignore[dict-item]
SOUND: dict[str, Any] = {"columns": COLUMNS, "outcome": {"regression": {"column": "kg"}}, "weight": "fares"}


@pytest.mark.parametrize("weight", ["fares", "seats", None])
def test_a_number_of_every_row_may_be_the_weight(tmp_path: Path, weight: str | None) -> None:
    assert loaded(tmp_path, **SOUND | {"weight": weight}).weight == weight
    assert loaded(tmp_path, **SOUND | {"features": {**DECLARED["features"], "columns": ["fares"]}}).weight == "fares"


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        ("fare", "'fare' is none of the declared columns"),
        ("state", "'state' is string: a weight is a number above 0; its type is int or float"),
        ("heavy", "'heavy' may be missing ('?'), and every row has a weight: write 'heavy: float'"),
    ],
)
def test_what_is_no_number_of_every_row_is_no_weight(tmp_path: Path, weight: str, problem: str) -> None:
    assert problems(tmp_path, **SOUND | {"weight": weight}) == {"weight": problem}


def test_a_key_and_the_outcome_are_no_weight(tmp_path: Path) -> None:
    assert "'seats' is a key" in problems(tmp_path, **SOUND | {"weight": "seats", "keys": ["seats"]})["weight"]
    outcome = {"regression": {"column": "fares"}}
    assert "'fares' is the outcome's column" in problems(tmp_path, **SOUND | {"outcome": outcome})["weight"]


def test_a_search_does_not_go_with_a_weight(tmp_path: Path) -> None:
    searched = {"steps": "sklearn.linear_model.Ridge", "search": {"grid": {"alpha": [1, 2]}}}
    told = problems(tmp_path, **SOUND | {"algorithms": {"ridge": searched}})
    assert "does not go with 'weight: fares'" in told["algorithms.ridge.search"]
    assert loaded(tmp_path, **SOUND | {"algorithms": {"ridge": searched}, "weight": None}).weight is None


def test_the_name_under_which_features_carry_it_is_taken(tmp_path: Path) -> None:
    told = problems(tmp_path, **SOUND | {"features": {**DECLARED["features"], "columns": ["sample_weight"]}})
    assert "'sample_weight' is taken" in told["features.columns.0"]
