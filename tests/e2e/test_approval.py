"""A promotion that would change much, in the real Airflow: a human is asked, and only an approval moves the champion.

And while MLflow wants no calls, nobody is asked yet: the task is deferred, and goes on by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from muster.mlflow.budget.budget import budget
from muster.settings import settings
from muster_local.process import log_file
from tests.conftest import ASKS_FIRST, RunningStack
from tests.e2e.rest import Airflow, Json, wait_for
from tests.promotion.conftest import Line

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("approval")]
JUDGED = {"against": "champion", "champion_score": 0.6, "baseline_score": 0.5, "low": 0.1, "high": 0.2}
GROUPS = ("A,X", "B,X", "C,X", "D,X")


class Promotion:
    """The promote DAG of a workload that asks first."""

    dag, judges = f"{ASKS_FIRST}.promote", f"{ASKS_FIRST}.evaluate"

    def __init__(self, airflow: Airflow, home: Path) -> None:
        self.airflow = airflow
        self.scheduler_log = log_file(home, "airflow-scheduler")
        for dag in (self.dag, self.judges):
            airflow.ask("PATCH", f"/dags/{dag}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def start(self, partition: str, dag: str = dag) -> str:
        """Start a run and return its path."""
        body = {"logical_date": None, "conf": {}, "partition_key": partition}
        run = self.airflow.ask("POST", f"/dags/{dag}/dagRuns", json=body)
        return f"/dags/{dag}/dagRuns/{run['dag_run_id']}"

    def reaches(self, run: str, task: str, *states: str) -> Json:
        """Wait until a task is in one of these states."""

        def there() -> Json | None:
            instance = self.airflow.get(f"{run}/taskInstances/{task}")
            assert instance["state"] != "failed" or "failed" in states, self.log(run, task)
            return instance if instance["state"] in states else None

        try:
            return wait_for(there, f"{run} {task} {states}", 240)
        except TimeoutError as error:
            instances = self.airflow.get(f"{run}/taskInstances")["task_instances"]
            raise AssertionError([(one["task_id"], one["state"], one["try_number"]) for one in instances]) from error

    def answer(self, run: str, chosen: str) -> Json:
        """Answer the question of a run; return the question.

        Not before the scheduler knows that the process which asked has ended. Airflow 3.3 takes that end for the one of
        the process that goes on with the answer, where it hears of it later, and begins the task again.
        """
        self.reaches(run, "approve", "awaiting_input")
        ended = re.compile(rf"TaskInstance Finished: .*task_id=approve, run_id={re.escape(run.rpartition('/')[2])},")
        wait_for(lambda: {} if ended.search(self.scheduler_log.read_text()) else None, f"{run}: asking", 60)
        path = f"{run}/taskInstances/approve/-1/hitlDetails"
        question = self.airflow.get(path)
        self.airflow.ask("PATCH", path, json={"chosen_options": [chosen], "params_input": {}})
        return question

    def log(self, run: str, task: str) -> str:
        content = self.airflow.get(f"{run}/taskInstances/{task}/logs/1")["content"]
        return "\n".join(line if isinstance(line, str) else str(line.get("event")) for line in content)


@pytest.fixture
def promotion(airflow: Airflow, running_stack: RunningStack) -> Promotion:
    return Promotion(airflow, running_stack.home)


@pytest.fixture
def line(running_stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """What train and evaluate leave behind, made by hand in the running stack's store."""
    monkeypatch.setenv("MUSTER_HOME", str(running_stack.home))
    monkeypatch.setenv("MUSTER_MLFLOW_URI", running_stack.settings.mlflow_tracking_uri)
    settings.cache_clear()
    yield Line(running_stack.home / "store", name=ASKS_FIRST)
    settings.cache_clear()


def content_type(address: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, timeout=30).headers["Content-Type"]


def champion(registry: MlflowClient) -> str:
    return str(registry.get_model_version_by_alias(ASKS_FIRST, "Champion").version)


def test_only_an_approval_lets_a_large_change_through(
    promotion: Promotion, line: Line, registry: MlflowClient, running_stack: RunningStack
) -> None:
    line.decide(line.first, line.train(line.first, dict.fromkeys(GROUPS, 1.0)), dict.fromkeys(GROUPS, "promote"))
    first = promotion.start(line.first)
    promotion.reaches(first, "promote", "success")
    assert "No approval is needed: there is no champion" in promotion.log(first, "approve")
    assert champion(registry) == "1"

    verdicts = dict.fromkeys(GROUPS[:3], "promote") | {GROUPS[3]: "hold"}
    run = line.train(line.second, dict.fromkeys(GROUPS, 2.0))
    line.decide(line.second, run, verdicts, against="1", evidence=JUDGED)
    rejected = promotion.start(line.second)
    promotion.reaches(rejected, "approve", "awaiting_input")
    later = promotion.start(line.third, promotion.judges)  # which nobody has trained
    promotion.reaches(later, "evaluate", "deferred")
    (entry,) = promotion.airflow.get(f"{later}/taskInstances/evaluate/state-store")["task_state_store"]
    assert entry["value"] == {"why": f"'{promotion.dag}' is at work, or waits for an answer"}
    question = promotion.answer(rejected, "Reject")
    promotion.reaches(later, "evaluate", "failed")
    assert "75.0% of the champion's 4 groups would change" in question["body"]
    assert question["defaults"] == ["Reject"]
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", question["body"])
    assert [content_type(image) for image in images] == ["image/png"] * 2
    promotion.reaches(rejected, "promote", "skipped")
    assert "Not promoted: rejected by 'Anonymous'. The champion stays." in promotion.log(rejected, "approve")
    assert champion(registry) == "1"

    approved = promotion.start(line.second)
    promotion.answer(approved, "Approve")
    promotion.reaches(approved, "promote", "success")
    assert champion(registry) == "2"
    moves = json.loads(running_stack.muster("show", ASKS_FIRST, "alias_journal", "--format", "json").stdout)
    evidence = next(json.loads(move["evidence"]) for move in moves if move["to_version"] == "2")
    assert evidence["approved_by"] == "Anonymous"
    assert evidence["verdicts"] in question["body"]

    again = promotion.start(line.second)
    promotion.reaches(again, "promote", "success")
    assert "No approval is needed: these verdicts were carried out before" in promotion.log(again, "approve")
    assert champion(registry) == "2"


def test_while_mlflow_wants_no_calls_a_task_gives_its_slot_back_and_comes_back(
    promotion: Promotion, line: Line, running_stack: RunningStack
) -> None:
    line.decide(line.first, line.train(line.first, dict.fromkeys(GROUPS, 1.0)), dict.fromkeys(GROUPS, "promote"))
    budget(of=running_stack.settings).record_unavailability({"Retry-After": "45"})
    run = promotion.start(line.first)
    promotion.reaches(run, "approve", "deferred")
    store = f"{run}/taskInstances/approve/state-store"
    (entry,) = promotion.airflow.get(store)["task_state_store"]
    assert entry["key"] == "waiting_for_mlflow"
    assert "put off by the server" in entry["value"]["why"]
    assert promotion.reaches(run, "approve", "success")["try_number"] == 1
    promotion.reaches(run, "promote", "success")
    log = promotion.log(run, "approve")
    assert "Gave the slot back; goes on in" in log
    assert "Waiting for MLflow until" in log
    assert promotion.airflow.get(store)["task_state_store"] == []
