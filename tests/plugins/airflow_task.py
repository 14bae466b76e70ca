"""An Airflow task without an Airflow: its context; and, run as a script, its process, which a test can kill.

`python airflow_task.py STAGE JOB WORKLOAD NEEDED PARTITION` runs the operator and, as Airflow's own task process does,
calls `on_kill` on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from muster_local import PROJECT

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

from airflow.sdk.log import configure_logging

from muster_airflow.operators.job import JobOperator  # Airflow reads its home when it is imported

PARTITION = "2024-02-05"
WORKLOAD = """
keys: [place]
time: at
columns: {place: string, at: timestamp, delay: "float?"}
unique: [place, at]
label: {column: delay, above: 0}
features: {columns: [signal], buckets: 4}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 14, evaluate: 7}
schedule: {start: 2024-01-01}
"""
FEATURES = """
def features(rows):
    return rows[["delay"]].rename(columns={"delay": "signal"})
"""


@dataclass
class Task:
    """A task instance that remembers what was pushed."""

    try_number: int = 1
    max_tries: int = 0
    pushed: dict[str, Any] = field(default_factory=dict)
    dag_id: str = "made.train"
    run_id: str = "manual__1"
    task_id: str = "train"
    map_index: int = -1
    runs: dict[str, int] = field(default_factory=dict)
    """Active runs of DAGs by name; of a DAG that is not paused."""
    paused: tuple[str, ...] = ()

    retries: int = 0
    """Tasks of the workload's retries that are at work."""

    running: str = "another run"
    """The id of the one that runs, of those."""

    def get_dr_count(self, dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
        if run_ids is None:
            assert states == ["queued", "running"]
            return self.runs[dag_id]
        if states == ["failed"]:  # of a backfill: none is
            return 0
        assert (states, bool(run_ids)) == (["running"], True)  # Airflow takes no ids for all
        return int(self.running in run_ids and self.runs[dag_id] > 0)

    states: dict[str, str] = field(default_factory=dict)
    """Runs of the task's own DAG, and the state of the task in each."""

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, task_ids) == (self.dag_id, [self.task_id])
        return {run: {self.task_id: state} for run, state in self.states.items() if run in run_ids}

    def get_ti_count(self, dag_id: str, task_ids: list[str], states: list[str]) -> int:
        assert dag_id.endswith(".retry")
        assert "find_due" not in task_ids  # which only waits to begin
        assert {"running", "deferred", "awaiting_input", "up_for_retry"} <= set(states)
        return self.retries

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(is_paused=dag_id not in self.runs or dag_id in self.paused)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class State(dict[str, Any]):
    """A task's state store."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def run_of(run_id: str = "manual__1", user: str | None = None, **more: Any) -> SimpleNamespace:
    """Return a run as a task sees it."""
    return SimpleNamespace(run_id=run_id, triggering_user_name=user, **{"conf": {}, "clear_number": 0, **more})


def context_of(partition: str | None = PARTITION, run_id: str = "manual__1", **more: Any) -> dict[str, Any]:
    """Return the context of a task of a keyed run."""
    return {
        "partition_key": partition,
        "dag_run": run_of(run_id),
        "ti": Task(),
        "task_state_store": State(),
        "outlet_events": defaultdict(SimpleNamespace),
        "triggering_asset_events": {},
        "params": {},
        **more,
    }


def declare(folder: Path, name: str = "made") -> Path:
    """Write a small workload to a folder and return its YAML file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(WORKLOAD, encoding="utf-8")
    (folder / f"{name}.py").write_text(FEATURES, encoding="utf-8")
    return folder / f"{name}.yaml"


def operator(stage: str, job: str, workload: str, needed: str = "spark,mlflow") -> JobOperator:
    """Return the operator that runs a job's file on a workload."""
    needs = {"spark": "spark" in needed, "mlflow": "mlflow" in needed}
    return JobOperator(task_id=stage, stage=stage, job=job, workload=workload, **needs)


def main(*declared: str, key: str) -> None:
    """Be the task's process."""
    configure_logging(colored_console_log=False)  # as in Airflow's own task process: secrets are masked
    task = operator(*declared)
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    task.execute(context_of(key))


if __name__ == "__main__":
    main(*sys.argv[1:-1], key=sys.argv[-1])
