"""A pack that is too large for MLflow: its version refers to the store, and answers as any other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from muster.mlflow.client import connect

Line = Any
pytestmark = pytest.mark.slow
ROWS = pd.DataFrame(
    {"carrier": ["A", "B", "C"], "origin": ["X"] * 3, "a": [1.0] * 3, "b": [0.0] * 3, "record": [0.0] * 3}
)


def promoted(line: Line, partition: str, slopes: dict[str, float], judged: str | None = None) -> str:
    run = line.train(partition, slopes)
    line.decide(partition, run, dict.fromkeys(slopes, "promote"), judged)
    line.promote(partition)
    connect()
    return f"models:/{line.name}@Champion"


@pytest.fixture
def large(served: Line) -> Line:
    served.declared = {"pack": {"mlflow_bytes": 0}}
    served.features(served.first, [{"group": f"{name},X", "a": 1.0, "b": 0.25, "record": 0.5} for name in "ABC"])
    return served


def answers(uri: str) -> list[float]:
    return [round(score, 6) for score in mlflow.pyfunc.load_model(uri).predict(ROWS)["score"]]


def test_it_answers_from_the_store_and_mlflow_has_the_manifest_alone(large: Line, tmp_path: Path) -> None:
    uri = promoted(large, large.first, {"A,X": 1.0, "B,X": -2.0, "C,X": 0.5})
    folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    assert [file.name for file in folder.glob("artifacts/champion-*/*")] == ["manifest.parquet"]
    assert answers(uri) == [0.731059, 0.119203, 0.622459]


def test_where_the_store_is_by_now_is_said_by_the_environment(large: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = promoted(large, large.first, {"A,X": 1.0, "B,X": -2.0, "C,X": 0.5})
    moved = Path(large.store.root).with_name("moved")
    shutil.move(large.store.root, moved)
    monkeypatch.setenv("MUSTER_STORE", f"{moved}/")
    assert answers(uri) == [0.731059, 0.119203, 0.622459]


def test_a_promotion_reads_and_writes_the_winners_alone(large: Line) -> None:
    promoted(large, large.first, {"A,X": 1.0, "B,X": -2.0, "C,X": 0.5})
    shards = Path(large.store.uri(large.store.packs), "shards")
    [incumbents] = shards.iterdir()
    held = incumbents.read_bytes()
    incumbents.write_bytes(b"")
    uri = promoted(large, large.second, {"B,X": 3.0}, "1")
    [winners] = set(shards.iterdir()) - {incumbents}
    assert (incumbents.read_bytes(), winners.stat().st_size < len(held) / 2) == (b"", True)
    incumbents.write_bytes(held)
    assert answers(uri) == [0.731059, 0.952574, 0.622459]
