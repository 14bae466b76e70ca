"""The runs in Airflow that an operator must know of: red, waiting or at work; a few requests for all workloads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from muster.airflow_api import Airflow, AirflowRefused
from muster.airflow_runs import DagRun, TaskInstance
from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.stages import ALL_STAGE_NAMES
from muster_local import local
from muster_local.passwords import airflow_login
from muster_local.progress import ended_at, last_finished

STATES = {
    "failed": "failed",
    "awaiting_input": "waits for an answer",
    "up_for_retry": "failed, is tried again",
    "up_for_reschedule": "waits: its DAG is missing",
    "deferred": "is deferred",
    "running": "is running",
    "queued": "is queued",
}
"""A state of a run or of its task -> the words for it; what matters most at night comes first."""

RETRY = "retry"
"""The DAG of a workload that is no stage: it takes some groups through them, to the last one."""

OF_TASKS = ("awaiting_input", "up_for_retry", "up_for_reschedule", "deferred")
"""A task's states that say more than its run's, which is `running`."""


@dataclass(frozen=True)
class OpenRun:
    """A run of a stage that is red, waits, or is at work."""

    stage: str
    partition: str | None
    state: str
    since: datetime | None
    page: str
    """Where to look."""
    overtaken: bool = False
    """Whether it is red and the stage has finished a later partition."""
    until: str | None = None
    why: str | None = None
    """Until when it is deferred, and why, where its page says so."""

    @property
    def short(self) -> str:
        """Return it in a few words: `ingest failed`."""
        return f"{self.stage} {STATES[self.state]}"

    def text(self) -> str:
        """Return it as a sentence with where to look."""
        if self.partition is None:
            what = f"{self.stage} has a run without a partition key, which is of no partition"
            return f"{what}: delete it in Airflow; see {self.page}"
        until = f" until {self.until}" if self.until else ""
        why = f": {self.why}" if self.why else ""
        since = f", since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"{self.stage} of {self.partition} {STATES[self.state]}{until}{why}{since}; see {self.page}"


@dataclass(frozen=True)
class AirflowState:
    """What Airflow tells of the workloads; `problem` says why it tells nothing."""

    problem: str | None = None
    runs: Mapping[str, list[OpenRun]] = field(default_factory=dict)
    """Workload -> its runs, the most urgent and then the newest first; last one without a partition, of each stage."""
    paused: Collection[str] = ()
    """The DAGs that are paused."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """File of a workload that has no DAGs -> its first problem."""
    import_errors: list[str] = field(default_factory=list)
    """Why other DAG files could not be read."""


def airflow_state(settings: Settings, files: list[Path]) -> AirflowState:
    """Return what Airflow tells of the workloads of these files; never an error, for the rest is to be shown too."""
    if not local.lives(settings, "airflow-api"):
        return AirflowState("Airflow is not running: below is only what the store and the results know")
    try:
        return ask(Airflow(settings.airflow_url, airflow_login(settings), timeout=10.0, patience=0.0), settings, files)
    except Exception as error:  # whatever an Airflow under stress answers
        return AirflowState(f"Airflow does not tell what runs ({type(error).__name__}: {error})")


def ask(airflow: Airflow, settings: Settings, files: list[Path]) -> AirflowState:
    """Ask Airflow for the open runs of all workloads at once, and for the DAG files that it could not read."""
    runs = [*airflow.runs_in("running", "queued"), *airflow.runs_in("failed")]
    tasks = {(task.dag, task.run): task for task in airflow.tasks_in(*OF_TASKS)}
    paused = airflow.paused()
    opened: dict[str, dict[tuple[str, str | None], OpenRun]] = {file.stem: {} for file in files}
    for run in runs:
        name, _, stage = run.dag.rpartition(".")
        if name not in opened or stage not in (*ALL_STAGE_NAMES, RETRY):
            continue
        row = _open_run(airflow, run, tasks.get((run.dag, run.id)), paused)
        if row.state == "failed" and run.partition is not None:
            ends = "score" if stage == RETRY else stage
            mended, overtaken = _finished_since(Store(settings.store_root, name), ends, run)
            if mended:
                continue
            row = replace(row, overtaken=overtaken)
        opened[name].setdefault((stage, run.partition), row)  # a run at work is the one of a red one's partition
    refused, errors = _import_errors(airflow, files)
    sorted_runs = {name: _sorted(rows.values()) for name, rows in opened.items()}
    return AirflowState(None, sorted_runs, paused, refused, errors)


def _open_run(airflow: Airflow, run: DagRun, task: TaskInstance | None, paused: Collection[str]) -> OpenRun:
    state = task.state if task and task.state and run.state == "running" else run.state
    page = "required_actions" if state == "awaiting_input" else f"dags/{run.dag}"
    since = run.ended_at if state == "failed" else run.began_at or run.queued_at
    row = OpenRun(run.dag.rpartition(".")[2], run.partition, state, since, f"{airflow.url}/{page}")
    if task and state == "deferred":
        return replace(row, **_wait(airflow, task))
    return replace(row, why="its DAG is paused") if state == "queued" and run.dag in paused else row


def _wait(airflow: Airflow, task: TaskInstance) -> dict[str, Any]:
    """Return until when a task is deferred and why, as its page has it; nothing where it has just gone on."""
    try:
        stored = airflow.storage(task)
    except AirflowRefused:
        return {}
    waits: Mapping[str, Any] = next((value for key, value in stored.items() if key.startswith("waiting_for_")), {})
    return {name: waits.get(name) for name in ("until", "why")}


def _finished_since(store: Store, stage: str, run: DagRun) -> tuple[bool, bool]:
    """Tell whether a red run's stage has come to its end for its partition since, and whether for a later one."""
    try:
        ended, last = ended_at(store, stage, str(run.partition)), last_finished(store, stage)
    except (OSError, ValueError):  # told as unreadable by `progress`
        return False, False
    mended = ended is not None and (run.ended_at is None or ended > run.ended_at.timestamp())
    return mended, last is not None and last > str(run.partition)


def _sorted(rows: Iterable[OpenRun]) -> list[OpenRun]:
    newest = sorted(rows, key=lambda row: row.since.timestamp() if row.since else 0.0, reverse=True)
    return sorted(newest, key=lambda row: (row.partition is None, row.overtaken, list(STATES).index(row.state)))


def _import_errors(airflow: Airflow, files: list[Path]) -> tuple[dict[str, str], list[str]]:
    """Return the first problem of each workload's file that has no DAGs, and the errors that name no such file."""
    refused: dict[str, str] = {}
    errors = []
    for dag_file, lines in airflow.import_error_lines():
        named = {file.name: line for file in files for line in reversed(lines) if line.startswith(f"{file.name}: ")}
        refused |= named
        if not named:
            errors.append(f"{dag_file}: {lines[-1]}")
    return refused, errors
