"""What arrives runs in the real Airflow, once; a corrected file again, once; though the triggerer is killed."""

from __future__ import annotations

import gzip
import time
from datetime import date, timedelta
from pathlib import Path

import psutil
import pytest

from muster_local.process import read_record
from tests.conftest import ARRIVING, RunningStack
from tests.e2e.rest import Airflow, Json, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("late")]
FIRST = date(2024, 2, 5)
WEEK = [FIRST + timedelta(days=number) for number in range(7)]


class Line:
    """The first DAGs of a workload that runs what arrives: all it takes is its files."""

    def __init__(self, stack: RunningStack) -> None:
        self.airflow = Airflow(stack.settings.airflow_url)
        self.landing = Path(stack.settings.store_root, "landing", ARRIVING)
        for stage in ("ingest", "features", "watch"):
            path, what = f"/dags/{ARRIVING}.{stage}", {"is_paused": False}
            dag = self.airflow.ask("PATCH", path, params={"update_mask": "is_paused"}, json=what)
        # Airflow starts a watcher when it next reads the DAG, unpaused: here, five minutes later.
        self.airflow.ask("PUT", f"/parseDagFile/{dag['file_token']}")

    def land(self, *days: date, delay: int = 1) -> None:
        self.landing.mkdir(parents=True, exist_ok=True)
        for day in days:
            text = "place,at,delay\n" + "".join(f"{place},{day}T06:00:00,{delay}\n" for place in "abc")
            hidden = self.landing / f".{day}.tmp"
            hidden.write_bytes(gzip.compress(text.encode(), mtime=0))
            hidden.rename(self.landing / f"{day}.csv.gz")

    def runs(self, stage: str) -> list[tuple[str, str]]:
        """Return the key and the state of each run of a stage, in order."""
        runs = self.airflow.get(f"/dags/{ARRIVING}.{stage}/dagRuns", order_by="id", limit=50)["dag_runs"]
        return [(run["partition_key"], run["state"]) for run in runs]

    def reaches(self, stage: str, number: int) -> None:
        """Wait until the partition has gone through a stage so often, each time well."""

        def there() -> Json | None:
            runs = self.runs(stage)
            assert all(state != "failed" for _, state in runs), runs
            return {} if runs == [(str(FIRST), "success")] * number else None

        wait_for(there, f"{ARRIVING}.{stage} {number} times", 300)


def kill_triggerer(stack: RunningStack) -> None:
    record = read_record(stack.settings.home.resolve(), "airflow-triggerer")
    process = record.process() if record else None
    assert process is not None
    dead = [process, *process.children(recursive=True)]
    for one in dead:
        one.kill()
    psutil.wait_procs(dead, timeout=30)


def test_a_file_runs_its_partition_once_and_its_correction_once_again(started_stack: RunningStack) -> None:
    line = Line(started_stack)
    line.land(*WEEK[:6])
    kill_triggerer(started_stack)
    line.land(WEEK[6])
    started_stack.muster("up", "--weeks", "0", timeout=300)
    line.reaches("features", 1)
    line.land(WEEK[2], delay=2)
    line.reaches("features", 2)
    time.sleep(15)  # three looks of the trigger: nothing comes of them
    assert line.runs("ingest") == line.runs("features") == [(str(FIRST), "success")] * 2
    told = line.airflow.get("/assets/events", name_pattern=f"{ARRIVING}.arrived", order_by="timestamp")["asset_events"]
    news = [event["extra"]["news"][str(FIRST)] for event in told]
    assert [(one["cause"], one["days"]) for one in news] == [("arrival", []), ("correction", [str(WEEK[2])])]
    corrected = line.airflow.get(f"/dags/{ARRIVING}.features/dagRuns/~/taskInstances", task_id="corrected")
    assert {task["state"] for task in corrected["task_instances"]} == {"skipped"}  # no model has learnt from the day
