"""The jobs review, promote and score as processes, on a real Spark Connect server and a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from muster.storage.tables import PREDICTIONS
from muster_local import PROJECT
from tests.landed import land_nothing
from tests.promotion.history import declare

Line = Any
pytestmark = [pytest.mark.slow, pytest.mark.spark]


@pytest.fixture
def registry_server(mlflow_server: str) -> str:
    """The real MLflow server, as the jobs have it: other processes, at the same time."""
    return mlflow_server


@pytest.fixture
def declared(served: Line) -> Path:
    return declare(served, served.root / "workloads")


@pytest.fixture
def declared_grouped(grouped: Line) -> Path:
    return declare(grouped, grouped.root / "workloads")


def _run(line: Line, stage: str, declared: Path, partition: str = "", **environment: str) -> dict[str, Any]:
    command = [sys.executable, str(PROJECT / "jobs" / "muster_jobs" / f"{stage}.py"), "--workload", str(declared)]
    own = {"MUSTER_STORE": str(line.root), "PYTHONPATH": str(PROJECT), **environment}
    done = subprocess.run(
        [*command, "--partition", partition or line.first],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _predictions(line: Line) -> pa.Table:
    rows = line.store.open("predictions").to_pyarrow_table().select(PREDICTIONS.names)
    return rows.drop_columns("scored_at").sort_by("row_id")


def test_a_slice_is_promoted_and_scored_and_scored_again(
    served: Line, declared: Path, spark_connect_server: str
) -> None:
    names = [f"G{number},X" for number in range(40)]
    run = served.train(served.first, dict.fromkeys(names, 1.0))
    served.decide(served.first, run, dict.fromkeys(names, "promote"))
    served.features(served.first, [{"group": name, "a": 1.0, "b": 0.0, "record": 0.5} for name in [*names, "N,X"] * 3])

    reviewed = _run(served, "review", declared)
    assert (reviewed["needs_approval"], reviewed["changed"], reviewed["plots"]) == (False, 0.0, {})
    assert "| promote | 40 |" in reviewed["markdown"]

    promoted = _run(served, "promote", declared)  # no Spark address: it must not ask for a session
    assert (promoted["moved"], promoted["promoted"], promoted["kept"]) == (True, 40, 0)
    assert promoted["mlflow_calls"] <= 40

    scored = _run(served, "score", declared, SPARK_REMOTE=spark_connect_server)
    counts = {name: scored[name] for name in ("rows", "groups", "own", "fallback", "model_version")}
    assert counts == {
        "rows": 123,
        "groups": 41,
        "own": 120,
        "fallback": {"no model: baseline": 3},
        "model_version": promoted["to_version"],
    }
    assert scored["mlflow_calls"] == 1
    assert scored["features_out_of_date"] == {"nothing says what it was made from": 1}  # written by hand, above
    first = _predictions(served)
    _run(served, "score", declared, SPARK_REMOTE=spark_connect_server)
    assert _predictions(served).equals(first)
    assert first.num_rows == 123

    land_nothing(served.store, "carrier,origin,at,delay", served.at(served.second).windows.score.days())
    quiet = _run(served, "score", declared, served.second, SPARK_REMOTE=spark_connect_server)
    assert (quiet["rows"], quiet["model_version"]) == (0, promoted["to_version"])
    assert _predictions(served).equals(first)


def test_the_calls_that_executors_make_are_counted(
    grouped: Line, declared_grouped: Path, spark_connect_server: str
) -> None:
    run = grouped.train(grouped.first, {"A,X": 1.0, "B,X": 1.0})
    grouped.decide(grouped.first, run, dict.fromkeys(("A,X", "B,X"), "promote"))
    grouped.features(grouped.first, [{"group": name, "a": 1.0, "b": 0.0, "record": 0.5} for name in ("A,X", "B,X")])
    promoted = _run(grouped, "promote", declared_grouped, SPARK_REMOTE=spark_connect_server)
    assert promoted["mlflow_calls"] > promoted["executors_mlflow_calls"] >= 20
    scored = _run(grouped, "score", declared_grouped, SPARK_REMOTE=spark_connect_server)
    assert scored["rows"] == 2
    # three a group, what a process asks once, and a search
    assert 2 * 3 + 1 <= scored["mlflow_calls"] <= 2 * 4 + 1
