"""What a backfill would take, by the results of before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from muster.backfill.estimate import StageEstimate, as_text, estimate
from muster.backfill.request import Request
from muster.context import Context
from muster.storage.store import Store
from muster.workload.load import load_workload
from tests.plugins.airflow_task import declare

REQUEST = Request("made", "2024-01-08", "2024-01-15", ("ingest", "score"))
PARTITIONS = ["2024-01-08", "2024-01-15"]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(load_workload(declare(tmp_path)), tmp_path, Store(str(tmp_path), "made"))


def ended(context: Context, stage: str, partition: str, at: float, **result: Any) -> None:
    file = Path(context.store.uri(context.store.results(stage)), f"{partition}-{at}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result))
    os.utime(file, (at, at))


def test_figures_are_the_median_of_the_last_results_that_did_something(context: Context) -> None:
    for at, seconds in enumerate([100.0, *[1.0] * 4, *[3.0] * 5, 9.0]):
        ended(context, "ingest", "2024-02-05", 1000.0 + at, seconds=seconds, accepted=50, mlflow_calls=0)
    ended(context, "ingest", "2024-02-05", 2000.0, until="2024-02-05T10:00:00", why="throttled", seconds=99.0)
    ended(context, "score", "2024-02-05", 2000.0, skipped_because="there is no champion", rows=0, seconds=99.0)
    ingest, score = estimate(context, REQUEST, PARTITIONS)
    assert ingest == StageEstimate("ingest", 10, 3.0, 50.0, None, 0.0)
    assert score == StageEstimate("score", 0, None, None, None, None)


def test_the_partitions_own_results_come_before_younger_ones_of_others(context: Context) -> None:
    ended(context, "score", "2024-01-15", 1000.0, seconds=5.0, rows=7, groups=2, mlflow_calls=4)
    ended(context, "score", "2024-02-05", 2000.0, seconds=50.0, rows=70, groups=20, mlflow_calls=40)
    assert estimate(context, REQUEST, PARTITIONS)[1] == StageEstimate("score", 1, 5.0, 7.0, 2.0, 4.0)


def test_rows_seconds_and_calls_are_told_for_all_runs_and_what_is_not_known_is_said(context: Context) -> None:
    ended(context, "score", "2024-01-15", 1000.0, seconds=90.0, rows=7, groups=2, mlflow_calls=4)
    text = as_text(REQUEST, PARTITIONS, estimate(context, REQUEST, PARTITIONS))
    lines = [line.split() for line in text.splitlines()]
    assert "made 2024-01-08 to 2024-01-15: 2 partitions, one at a time: 2024-01-08, 2024-01-15" in text
    assert lines[3][:6] == ["ingest", "2", "?", "?", "?", "?"]
    assert lines[4][:6] == ["score", "2", "180", "14", "2", "8"]
    assert "in all about 3.0 min of jobs and 8 MLflow calls, without ingest; nothing was started" in text
