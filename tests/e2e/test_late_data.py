"""Late data in the real Airflow: the task waits without a slot, says what is missing, and goes on when it has come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.conftest import LATE, RunningStack
from tests.e2e.rest import Airflow, Json, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("late")]
FIRST, SECOND = date(2024, 2, 5), date(2024, 2, 12)


class Ingest:
    """The DAG `ingest` of a workload that waits for its data."""

    dag = f"{LATE}.ingest"

    def __init__(self, stack: RunningStack) -> None:
        self.airflow = Airflow(stack.settings.airflow_url)
        self.landing = Path(stack.settings.store_root, "landing", LATE)
        self.airflow.ask("PATCH", f"/dags/{self.dag}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def land(self, *days: date) -> None:
        self.landing.mkdir(parents=True, exist_ok=True)
        for day in days:
            text = "place,at,delay\n" + "".join(f"{place},{day}T06:00:00,1\n" for place in "abc")
            hidden = self.landing / f".{day}.tmp"
            hidden.write_bytes(gzip.compress(text.encode(), mtime=0))
            hidden.rename(self.landing / f"{day}.csv.gz")

    def start(self, partition: date) -> str:
        body = {"logical_date": None, "conf": {}, "partition_key": str(partition)}
        run = self.airflow.ask("POST", f"/dags/{self.dag}/dagRuns", json=body)
        return f"/dags/{self.dag}/dagRuns/{run['dag_run_id']}"

    def reaches(self, run: str, task: str, state: str) -> Json:
        def there() -> Json | None:
            instance = self.airflow.get(f"{run}/taskInstances/{task}")
            assert instance["state"] != "failed", self.log(run, task)
            return instance if instance["state"] == state else None

        return wait_for(there, f"{run} {task} {state}", 300)

    def clear(self, run: str, task: str) -> None:
        ids = {"dag_run_id": run.rpartition("/")[2], "task_ids": [task]}
        how = {"dry_run": False, "only_failed": False, "include_downstream": False, "reset_dag_runs": True}
        self.airflow.ask("POST", f"/dags/{self.dag}/clearTaskInstances", json={**ids, **how})

    def shows(self, run: str, days: str) -> Json:
        def there() -> Json | None:
            shown = self.shown(run)
            return shown if shown.get("waiting_for_data", {}).get("days") == days else None

        return wait_for(there, f"{run} {days}", 300)

    def waits_anew(self, run: str, begun: Json) -> Json:
        def anew() -> Json | None:
            deadline: Json = self.shown(run)["data_deadline"]
            return deadline if deadline != begun else None

        return wait_for(anew, f"{run} waits anew", 120)

    def result(self, run: str, task: str) -> Json:
        value = self.airflow.get(f"{run}/taskInstances/{task}/xcomEntries/return_value")["value"]
        return json.loads(value) if isinstance(value, str) else value

    def shown(self, run: str) -> Json:
        items = self.airflow.get(f"{run}/taskInstances/await_data/state-store", map_index=-1)["task_state_store"]
        return {item["key"]: item["value"] for item in items}

    def log(self, run: str, task: str) -> str:
        tries = self.airflow.get(f"{run}/taskInstances/{task}")["try_number"]
        return "\n".join(map(str, self.airflow.get(f"{run}/taskInstances/{task}/logs/{tries}")["content"]))


@pytest.fixture
def ingest(started_stack: RunningStack) -> Iterator[Ingest]:
    yaml = started_stack.settings.workloads / f"{LATE}.yaml"
    before = yaml.read_text(encoding="utf-8")
    yield Ingest(started_stack)
    yaml.write_text(before, encoding="utf-8")


def test_a_partition_waits_for_its_last_day_and_another_goes_on_without_it(
    ingest: Ingest, started_stack: RunningStack
) -> None:
    days = [FIRST + timedelta(days=number) for number in range(14)]
    ingest.land(*days[:5])
    first = ingest.start(FIRST)
    ingest.reaches(first, "await_data", "deferred")
    begun = ingest.shown(first)["data_deadline"]
    ingest.clear(first, "ingest")  # another task of the run: no new wait
    ingest.land(days[5])
    assert ingest.shows(first, "6 of 7")["data_deadline"] == begun
    ingest.clear(first, "await_data")
    assert ingest.waits_anew(first, begun)["due"] > begun["due"]
    ingest.reaches(first, "await_data", "deferred")
    shown = ingest.shown(first)["waiting_for_data"]
    assert (shown["days"], shown["missing"]) == ("6 of 7", [str(days[6])])
    assert ingest.airflow.get("/pools/default_pool")["include_deferred"] is False  # so it holds no slot
    status = started_stack.muster("status").stdout
    assert f"ingest of {FIRST} is deferred" in " ".join(status.split())
    assert f"no landed file for {days[6]}" in " ".join(status.split())
    ingest.land(days[6])
    ingest.reaches(first, "ingest", "success")
    assert (ingest.result(first, "await_data")["row_count"], ingest.result(first, "ingest")["accepted"]) == (21, 21)

    yaml = started_stack.settings.workloads / f"{LATE}.yaml"
    waits = "freshness: {wait_hours: 0.002, late: go_on}"
    yaml.write_text(yaml.read_text().replace("freshness: {look_every_minutes: 0.1}", waits))
    ingest.land(*days[7:11], *days[12:])
    second = ingest.start(SECOND)
    ingest.reaches(second, "ingest", "success")
    assert ingest.result(second, "await_data")["fresh"] is False
    result = ingest.result(second, "ingest")
    assert (result["missing"], result["accepted"]) == ([str(days[11])], 18)
    assert "waits until" in ingest.log(second, "await_data")
