"""A missed deadline in the real Airflow: a message arrives once, and one when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import WATCHED, RunningStack
from tests.e2e.rest import Airflow, Json, wait_for
from tests.plugins.receivers import HOST, Posts, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("late")]
PARTITION, TOKEN = "2024-02-05", "s3cret"


@pytest.fixture
def airflow(started_stack: RunningStack) -> Airflow:
    return Airflow(started_stack.settings.airflow_url)


@pytest.fixture
def posts(airflow: Airflow) -> Iterator[Posts]:
    """Who is told: the connection that the workload names leads here for as long as the test runs."""
    with web_server() as server:
        pager = {"connection_id": "pager", "conn_type": "http", "host": f"http://{HOST}:{server.port}/{TOKEN}"}
        airflow.ask("POST", "/connections", json=pager)
        yield server
    airflow.ask("PATCH", "/dags/deadlines", params={"update_mask": "is_paused"}, json={"is_paused": True})


def looked(airflow: Airflow) -> Json:
    """Have the DAG look, and return its task for the workload, which has ended well."""
    run = airflow.ask("POST", "/dags/deadlines/dagRuns", json={"logical_date": None, "conf": {}})
    task = f"/dags/deadlines/dagRuns/{run['dag_run_id']}/taskInstances/{WATCHED}"

    def ended() -> Json | None:
        instance = airflow.get(task)
        return instance if instance["state"] in ("success", "failed") else None

    instance = wait_for(ended, task, 300)
    log = str(airflow.get(f"{task}/logs/{instance['try_number']}")["content"])
    assert instance["state"] == "success", log
    assert TOKEN not in log
    return instance


def test_who_is_to_be_told_is_told_once_and_once_when_it_is_over(
    airflow: Airflow, posts: Posts, started_stack: RunningStack
) -> None:
    assert airflow.get("/dags/deadlines")["is_paused"] is False  # nobody has unpaused it
    for _ in range(2):
        looked(airflow)
        assert [(path, body["state"], body["partition"]) for path, _, body in posts.got] == [
            (f"/{TOKEN}", "late", PARTITION)
        ]
    (late,) = posts.bodies
    assert late["airflow"] == f"{started_stack.settings.airflow_url}/dags/{WATCHED}.ingest"
    assert datetime.fromisoformat(late["since"]) == datetime.fromisoformat("2024-02-12T06:00:00+00:00")
    assert f"predictions of {PARTITION} are late" in " ".join(started_stack.muster("status").stdout.split())
    scored = Path(started_stack.settings.store_root, "results", WATCHED, "score", f"{PARTITION}-by-hand.json")
    scored.parent.mkdir(parents=True)
    scored.write_text("{}")
    looked(airflow)
    assert [body["state"] for body in posts.bodies] == ["late", "over"]
