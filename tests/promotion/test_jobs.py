"""The jobs review, promote and score as processes, on a real Spark Connect server and a real MLflow server."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake

from muster.storage.tables import PREDICTIONS
from muster_local import PROJECT

Line = Any
pytestmark = [pytest.mark.slow, pytest.mark.spark]


@pytest.fixture
def registry_server(mlflow_server: str) -> str:
    """The real MLflow server, as the jobs have it: other processes, at the same time."""
    return mlflow_server


@pytest.fixture
def declared(served: Line) -> Path:
    folder = served.root / "workloads"
    folder.mkdir()
    text = served.workload.model_dump(mode="json", exclude_unset=True, exclude={"name", "columns"})
    text |= {"columns": {"carrier": "string", "origin": "string", "at": "timestamp", "delay": "float?"}}
    path = folder / f"{served.name}.yaml"
    path.write_text(yaml.safe_dump(text))
    path.with_suffix(".py").write_text("def features(rows): ...\n")
    return path


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
    first = _predictions(served)
    _run(served, "score", declared, SPARK_REMOTE=spark_connect_server)
    assert _predictions(served).equals(first)
    assert first.num_rows == 123

    nothing_happens(served, served.second)
    quiet = _run(served, "score", declared, served.second, SPARK_REMOTE=spark_connect_server)
    assert (quiet["rows"], quiet["model_version"]) == (0, promoted["to_version"])
    assert _predictions(served).equals(first)


def nothing_happens(line: Line, partition: str) -> None:
    """Land files without rows for a slice, after an ingest of another."""
    rows = pa.table({"group": ["G1,X"], "date": [date.fromisoformat(line.first)]})
    write_deltalake(line.store.table("observations"), rows, partition_by=["date"])
    Path(line.store.landing()).mkdir(parents=True)
    for day in line.at(partition).windows.score.days():
        file = Path(line.store.landing()) / f"{day}.csv.gz"
        file.write_bytes(gzip.compress(b"carrier,origin,at,delay\n"))
