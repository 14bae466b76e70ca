"""Packs too large for MLflow: what its model reads from the store is verified first."""

from __future__ import annotations

import os

import mlflow
import pandas as pd
import pytest

from tests.packs import shards_of
from tests.promotion.conftest import A, B, Line

pytestmark = pytest.mark.slow
ROWS = pd.DataFrame({"carrier": ["B", "A"], "origin": ["X"] * 2, "a": [1.0] * 2, "b": [0.0] * 2, "record": [0.5] * 2})
FIRST, SECOND = 0.731058579, 0.880797078
"""The answers of a model of slope 1, and of slope 2."""


@pytest.fixture
def large(served: Line) -> Line:
    """A line of two weeks whose packs are all too large; the second week has a new model of one group."""
    served.declared |= {"pack": {"mlflow_bytes": 0}}
    served.features(served.first, [{"group": group, "a": 1.0, "b": 0.0, "record": 0.5} for group in (A, B)])
    served.week(served.first, {A: "promote", B: "promote"}, 1.0)
    served.promote(served.first)
    served.week(served.second, {A: "promote", B: "reject"}, 2.0, "1")
    served.promote(served.second)
    return served


def answers(line: Line, version: str) -> list[float]:
    scores: list[float] = mlflow.pyfunc.load_model(f"models:/{line.name}/{version}").predict(ROWS)["score"].tolist()
    return scores


def test_bytes_that_are_not_those_of_the_manifest_are_refused(large: Line) -> None:
    champion = large.champion()
    assert champion is not None
    assert answers(large, "2") == pytest.approx([FIRST, SECOND], abs=1e-9)
    for shard in shards_of(large.store, champion.place, champion.digest):
        shard.write_bytes(os.urandom(shard.stat().st_size))
    with pytest.raises(Exception, match="not loaded"):
        answers(large, "2")
