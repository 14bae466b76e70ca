"""The very same jobs on a Connect server and on a cluster: the same rows, the same models."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.cluster import Cluster, connection
from tests.plugins.line import Line

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FIRST, LAST = date(2024, 1, 15), date(2024, 2, 11)
PLACES = [*"abc", 'ü"q,']
EXECUTORS = 2
"""On the cluster: rows of a group go from one to the other."""
JOB = """
from dataclasses import replace
from muster_jobs import features, ingest, train
from muster_jobs.command_line import main

STAGES = {"ingest": ingest.run, "features": features.run, "train": train.run}
main("train", lambda job: {stage: run(replace(job, stage=stage)) for stage, run in STAGES.items()})
"""
"""One stage after the other in one application: on a cluster each would first start a driver and its executors."""


def land(folder: Path) -> None:
    """Write the daily files of four weeks: thirty rows a place."""
    draw = random.Random(7)
    folder.mkdir(parents=True)
    for number in range((LAST - FIRST).days + 1):
        day, text = FIRST + timedelta(days=number), io.StringIO(newline="")
        rows = csv.writer(text)
        rows.writerow(["place", "at", "delay"])
        for place in PLACES:
            for hour in range(12):
                rows.writerow([place, f"{day}T{hour:02}:00:00Z", round(draw.gauss(0, 10), 3)])
        (folder / f"{day}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))


def rows(line: Line, table: str, columns: list[str]) -> list[tuple[object, ...]]:
    read = DeltaTable(str(line.folder / "store" / "tables" / "made" / table)).to_pyarrow_table(columns=columns)
    return sorted(zip(*(read[name].to_pylist() for name in columns), strict=True))


@pytest.fixture
def both(connect: Line, submit: Line, mlflow_server: str) -> tuple[Line, Line]:
    """The two backends, each with a store of its own and the same files landed."""
    connect.folder = connect.folder / "connect"
    submit.folder = submit.folder / "submit"
    for line in (connect, submit):
        mlflow = json.dumps({"conn_type": "mlflow", "host": mlflow_server})
        line.env |= {"MUSTER_STORE": str(line.folder / "store"), "AIRFLOW_CONN_MLFLOW_DEFAULT": mlflow}
        land(line.folder / "store" / "landing" / "made")
    return connect, submit


def test_ingest_features_and_train_give_the_same_on_both(both: tuple[Line, Line], spark_cluster: Cluster) -> None:
    for line in both:
        with_executors = connection(spark_cluster, line.folder / "scratch", EXECUTORS)
        line.env["AIRFLOW_CONN_SPARK_DEFAULT"] = json.dumps(with_executors)
        job = line.folder / "stages.py"
        job.write_text(JOB, encoding="utf-8")
        line.run("train", job)
    connect, submit = both
    assert connect.result("train")["train"]["trained"] == len(PLACES)
    for table, columns in {
        "observations": ["group", "row_id", "delay"],
        "features": ["group", "row_id", "label", "signal"],
        "models": ["group", "sha256", "rows"],
        "ledger": ["group", "state", "rows"],
    }.items():
        assert rows(connect, table, columns) == rows(submit, table, columns)
