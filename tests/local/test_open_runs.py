"""What of Airflow's answers an operator must know of: against a session that answers as Airflow's REST API does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from muster.airflow_api import Airflow
from muster.settings import Settings
from muster.storage.store import Store
from muster_local import local, open_runs
from muster_local.open_runs import AirflowState, airflow_state, ask
from muster_local.progress import progress, waiting
from muster_local.waiting import Waiting

URL = "http://airflow"
FILES = [Path("flights.yaml"), Path("parcels.yaml")]


def run(dag: str, partition: str | None, state: str, minute: int = 0) -> dict[str, Any]:
    at = f"2024-02-06T04:{minute:02}:00Z"
    times = {"queued_at": at, "start_date": at, "end_date": at if state == "failed" else None, "duration": None}
    return {"dag_id": dag, "dag_run_id": f"{dag} {partition}", "state": state, "partition_key": partition, **times}


def task(dag: str, partition: str, state: str) -> dict[str, Any]:
    about = {"task_id": dag.rpartition(".")[2], "state": state, "try_number": 1, "map_index": -1}
    return {**about, "dag_id": dag, "dag_run_id": f"{dag} {partition}"}


class Session(requests.Session):
    """Answers from lists of runs, tasks and import errors; counts what it was asked."""

    def __init__(self, runs: list[dict[str, Any]], tasks: list[dict[str, Any]], stored: dict[str, Any]) -> None:
        super().__init__()
        self.headers["Authorization"] = "Bearer x"
        self.runs, self.tasks, self.stored = runs, tasks, stored
        self.trace = ""
        self.asked: list[str] = []

    def request(self, method: str, url: str, **arguments: Any) -> requests.Response:  # type: ignore[override]
        path, params = url.removeprefix(f"{URL}/api/v2"), arguments.get("params") or {}
        self.asked.append(path)
        answer: dict[str, Any]
        if path == "/dags/~/dagRuns":
            answer = {"dag_runs": [one for one in self.runs if one["state"] in params["state"]]}
        elif path == "/dags/~/dagRuns/~/taskInstances":
            answer = {"task_instances": [one for one in self.tasks if one["state"] in params["state"]]}
        elif path == "/importErrors":
            errors = [{"filename": "refused_workloads.py", "stack_trace": self.trace}] if self.trace else []
            answer = {"import_errors": errors}
        elif path == "/dags":
            answer = {"dags": [{"dag_id": "flights.features"}, {"dag_id": "parcels.train"}]}
        else:
            answer = {"task_state_store": [{"key": key, "value": value} for key, value in self.stored.items()]}
        response = requests.Response()
        response.status_code, response._content = 200, json.dumps(answer).encode()
        return response


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path), workloads=tmp_path)


def finish(settings: Settings, stage: str, partition: str, at: float, name: str = "flights") -> Store:
    store = Store(settings.store_root, name)
    file = Path(store.uri(store.results(stage))) / f"{partition}-aa.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    os.utime(file, (at, at))
    return store


def test_each_workloads_runs_are_told_by_urgency_with_few_requests(settings: Settings) -> None:
    runs = [
        run("flights.score", "2024-01-29", "running", 9),
        run("flights.promote", "2024-02-05", "running", 7),
        run("flights.features", "2024-02-12", "queued", 8),
        run("parcels.ingest", "2024-02-05", "failed", 5),
        run("parcels.train", "2024-01-29", "running", 1),
        run("parcels.train", "2024-01-29", "failed", 0),
        run("rollback", "2024-02-05", "failed"),
        run("elsewhere.ingest", "2024-02-05", "failed"),
    ]
    tasks = [task("flights.promote", "2024-02-05", "awaiting_input"), task("flights.score", "2024-01-29", "deferred")]
    session = Session(runs, tasks, {"waiting_for_mlflow": {"until": "05:00", "why": "throttled"}, "other": 1})
    state = ask(Airflow(URL, None, session), settings, FILES)
    assert [(row.short, row.partition, row.until, row.why) for row in state.runs["flights"]] == [
        ("promote waits for an answer", "2024-02-05", None, None),
        ("score is deferred", "2024-01-29", "05:00", "throttled"),
        ("features is queued", "2024-02-12", None, "its DAG is paused"),
    ]
    assert state.runs["flights"][0].page == f"{URL}/required_actions"
    assert [row.text() for row in state.runs["parcels"]] == [
        f"ingest of 2024-02-05 failed, since 2024-02-06 04:05 UTC; see {URL}/dags/parcels.ingest",
        f"train of 2024-01-29 is running, since 2024-02-06 04:01 UTC; see {URL}/dags/parcels.train",
    ]
    assert len(session.asked) == 6


def test_a_red_run_that_was_mended_is_no_more_and_one_overtaken_comes_last(settings: Settings) -> None:
    runs = [
        run("flights.train", "2024-02-05", "failed", 1),
        run("flights.train", "2024-01-29", "failed", 2),
        run("flights.score", "2024-01-29", "running", 3),
    ]
    finish(settings, "train", "2024-02-05", 2_000_000_000.0)
    state = ask(Airflow(URL, None, Session(runs, [], {})), settings, FILES)
    assert [(row.short, row.overtaken) for row in state.runs["flights"]] == [
        ("score is running", False),
        ("train failed", True),
    ]


def test_runs_without_a_partition_come_last_and_once_a_stage(settings: Settings) -> None:
    keyless = [run("flights.ingest", None, state, 9) for state in ("running", "failed", "failed")]
    session = Session([*keyless, run("flights.score", "2024-01-29", "running", 3)], [], {})
    state = ask(Airflow(URL, None, session), settings, FILES)
    assert [(row.stage, row.partition) for row in state.runs["flights"]] == [("score", "2024-01-29"), ("ingest", None)]
    assert state.paused == {"flights.features", "parcels.train"}


def test_a_workload_that_airflow_has_refused_is_named_by_its_first_problem(settings: Settings) -> None:
    session = Session([], [], {})
    session.trace = "Traceback\nWorkloadsRefused: missing\nparcels.yaml: gate: is 3\nparcels.yaml: keys: is empty\n"
    state = ask(Airflow(URL, None, session), settings, FILES)
    assert (state.refused, state.import_errors) == ({"parcels.yaml": "parcels.yaml: gate: is 3"}, [])
    session.trace = "Traceback\nSyntaxError: invalid syntax"
    assert ask(Airflow(URL, None, session), settings, FILES).import_errors == [
        "refused_workloads.py: SyntaxError: invalid syntax"
    ]


def test_an_airflow_that_is_down_or_answers_nonsense_is_said_and_no_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = airflow_state(settings.model_copy(update={"home": settings.workloads}), FILES)
    assert str(state.problem).startswith("Airflow is not running")
    monkeypatch.setattr(local, "lives", lambda *_: True)
    monkeypatch.setattr(open_runs, "ask", lambda *_: {}["dag_runs"])
    assert airflow_state(settings, FILES) == AirflowState("Airflow does not tell what runs (KeyError: 'dag_runs')")


def test_a_partition_that_is_judged_again_is_not_finished(settings: Settings) -> None:
    for at, stage in enumerate(("ingest", "features", "train", "evaluate", "promote", "score")):
        store = finish(settings, stage, "2024-02-05", 1000.0 + at)
        finish(settings, stage, "2024-01-29", 1000.0 + at)
    (settings.workloads / "flights.yaml").write_text("keys: [a]")
    assert (waiting(store), progress(settings)[0].judged_since) == ([], False)
    finish(settings, "evaluate", "2024-02-05", 2000.0)
    finish(settings, "evaluate", "2024-01-29", 2000.0)  # a backfill: not promoted
    assert waiting(store) == [Waiting("flights", "2024-02-05", "evaluate", "promote", again=True)]
    assert (progress(settings)[0].judged_since, progress(settings)[0].scored) == (True, "2024-02-05")


def test_a_refused_yaml_and_a_broken_result_hide_no_other_workload(settings: Settings) -> None:
    (settings.workloads / "flights.yaml").write_text("keys: []\nwindow: 3\n")
    (settings.workloads / "parcels.yml").write_text("keys: [a]")
    finish(settings, "train", "2024-02-05", 1000.0, "parcels")
    store = Store(settings.store_root, "parcels")
    Path(store.uri(store.results("train")), "2024-02-05-aa.json").write_text("{")
    first, second = progress(settings)
    assert str(first.refused).startswith("flights.yaml: ")
    assert "more)" in str(first.refused)
    assert "rename it to 'parcels.yaml'" in str(second.refused)
    assert str(second.unreadable).startswith("JSONDecodeError")
    red = Session([run("parcels.train", "2024-02-05", "failed")], [], {})
    assert [row.short for row in ask(Airflow(URL, None, red), settings, FILES).runs["parcels"]] == ["train failed"]
