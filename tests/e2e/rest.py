"""A client of Airflow's and MLflow's REST APIs, as small as can be: shares no code with Muster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import requests

Json = dict[str, Any]
STAGES = ("ingest", "features", "train", "evaluate", "promote", "score")
WORKLOAD = "flight_delays"


class Airflow:
    """Airflow's stable REST API, version 2."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        token = session.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def ask(self, method: str, path: str, **what: Any) -> Json:
        """Send a request and return the answer; once more where Airflow's SQLite was busy, and nothing was written."""
        for _ in range(3):
            answer = self._session.request(method, f"{self.url}/api/v2{path}", timeout=60, **what)
            if "Database error" not in answer.text[:50]:
                break
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        content: Json = answer.json()
        return content

    def get(self, path: str, **params: Any) -> Json:
        """Return what stands at `path`."""
        return self.ask("GET", path, params=params)

    def runs(self, stage: str, partition: str) -> list[Json]:
        """Return the runs of a stage's DAG for a partition, the earliest first."""
        every_run = self.get(f"/dags/{WORKLOAD}.{stage}/dagRuns", limit=100, order_by="id")["dag_runs"]
        return [run for run in every_run if run["partition_key"] == partition]

    def trigger(self, stage: str, partition: str) -> Json:
        """Start a run of a stage's DAG."""
        body = {"logical_date": None, "conf": {}, "partition_key": partition}
        return self.ask("POST", f"/dags/{WORKLOAD}.{stage}/dagRuns", json=body)

    def task(self, run: Json, what: str = "") -> Json:
        """Return what Airflow tells of the one task of a run: its state, its links, an XCom."""
        stage = run["dag_id"].rpartition(".")[2]
        return self.get(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{stage}{what}")

    def log(self, run: Json) -> str:
        """Return the log of the last try of a run's task."""
        content = self.task(run, f"/logs/{self.task(run)['try_number']}")["content"]
        return "\n".join(line if isinstance(line, str) else str(line) for line in content)

    def wait_for_run(self, stage: str, partition: str, before: list[Json]) -> Json:
        """Wait for the run of a stage that was not there `before` to end, and return it."""
        earlier_ids = {run["dag_run_id"] for run in before}

        def over() -> Json | None:
            new = [run for run in self.runs(stage, partition) if run["dag_run_id"] not in earlier_ids]
            return next((run for run in new if run["state"] in ("success", "failed")), None)

        return wait_for(over, f"{stage} {partition}", 600)


def wait_for(question: Callable[[], Json | None], what: str, seconds: float) -> Json:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (answer := question()) is not None:
            return answer
        time.sleep(1)
    raise TimeoutError(f"{what} did not end within {seconds:.0f} s")
