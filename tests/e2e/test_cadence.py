"""A workload that is trained seldom, in the real Airflow: scored beside its training, and trained by an event."""

from __future__ import annotations

import gzip
import json
import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.conftest import SELDOM, RunningStack
from tests.e2e.rest import Airflow, Json, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("cadence")]
FIRST, SECOND = date(2024, 1, 15), date(2024, 1, 22)
LANDED_FROM, LANDED_DAYS = date(2024, 1, 1), 28


def land(stack: RunningStack) -> None:
    """Deliver four weeks of two places, whose delay tells tomorrow's."""
    folder, draw = Path(stack.settings.store_root, "landing", SELDOM), random.Random(3)
    folder.mkdir(parents=True)
    for number in range(LANDED_DAYS):
        day = LANDED_FROM + timedelta(days=number)
        hours = [f"{place},{day}T{hour:02}:00:00,{draw.gauss(0, 9):.3f}" for place in "ab" for hour in range(8)]
        text = "\n".join(["place,at,delay", *hours, ""])
        (folder / f"{day}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def runs(airflow: Airflow, stage: str, partition: date) -> list[Json]:
    every_run = airflow.get(f"/dags/{SELDOM}.{stage}/dagRuns", limit=100, order_by="id")["dag_runs"]
    return [run for run in every_run if run["partition_key"] == str(partition)]


def states(airflow: Airflow, run: Json) -> dict[str, str]:
    path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
    return {task["task_id"]: task["state"] for task in airflow.get(path)["task_instances"]}


def event(airflow: Airflow, asset: str, partition: date) -> Json:
    """Return what the newest event of an asset says of a partition."""
    asked = {"name_pattern": f"{SELDOM}.{asset}", "order_by": "-timestamp", "limit": 50}
    named = airflow.get("/assets/events", **asked)["asset_events"]
    extra: Json = next(item["extra"] for item in named if item["partition_key"] == str(partition))
    return extra


def predictions(stack: RunningStack, partition: date) -> list[Json]:
    table = DeltaTable(str(Path(stack.settings.store_root, "tables", SELDOM, "predictions")))
    rows: list[Json] = table.to_pyarrow_table(filters=[("partition", "=", str(partition))]).to_pylist()
    return rows


def test_the_second_partition_is_scored_by_the_first_ones_champion_and_trained_by_an_event(
    started_stack: RunningStack,
) -> None:
    airflow = Airflow(started_stack.settings.airflow_url)
    land(started_stack)
    partitions = [part for day in (FIRST, SECOND) for part in ("--partition", str(day))]
    started_stack.muster("up", "--workload", SELDOM, *partitions, timeout=600)
    (first,), (second,) = (runs(airflow, "train", day) for day in (FIRST, SECOND))
    assert states(airflow, first) == {"decide": "success", "train": "success", "keep_champion": "skipped"}
    assert states(airflow, second) == {"decide": "success", "train": "skipped", "keep_champion": "success"}
    assert event(airflow, "models", FIRST)["why"] == "no partition before it was trained"
    assert event(airflow, "champion_kept", SECOND)["why"].startswith("not due before 2024-01-29: ")
    assert runs(airflow, "evaluate", SECOND) == []
    assert predictions(started_stack, FIRST) == []  # its own champion is not of its time: scoring does not wait
    assert {row["model_version"] for row in predictions(started_stack, SECOND)} == {"1"}
    status = " ".join(started_stack.muster("status").stdout.split())
    assert f"{SELDOM}: trained again from partition 2024-01-29 on" in status

    degraded = next(item for item in airflow.get("/assets", name_pattern=f"{SELDOM}.degraded")["assets"])
    body = {
        "asset_id": degraded["id"],
        "partition_key": str(SECOND),
        "extra": {"why": "worse", "groups": ["a", "b"], "count": 2},
    }
    airflow.ask("POST", "/assets/events", json=body)
    judged = wait_for(lambda: next(iter(runs(airflow, "promote", SECOND)), None), "promote", 300)
    wait_for(lambda: True if runs(airflow, "promote", SECOND)[0]["state"] == "success" else None, "promoted", 300)
    assert judged["partition_key"] == str(SECOND)
    assert json.dumps(event(airflow, "models", SECOND)["why"]) == '"degraded: worse (2 groups: a, b)"'
    assert [len(runs(airflow, stage, SECOND)) for stage in ("train", "evaluate", "promote", "score")] == [2, 1, 1, 1]
