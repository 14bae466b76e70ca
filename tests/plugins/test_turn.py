"""A partition is judged after the promotion before it, and waits without a slot until that has ended."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from muster.backfill.request import Backfill
from muster_airflow.attempt import attempt_name
from muster_airflow.backends.local import store_of
from muster_airflow.operators.evaluate import EvaluateOperator
from muster_airflow.operators.retry import FindDueOperator
from muster_airflow.operators.train import TrainOperator
from muster_airflow.turn import SHOWN_AS
from tests.plugins.airflow_task import PARTITION, Task, context_of, run_of

JOB = """
import pathlib, sys
result = pathlib.Path(sys.argv[sys.argv.index("--result") + 1])
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text('{"run": "judged"}')
"""
PROMOTE = "made.promote"
BEFORE = "2024-01-29"


@pytest.fixture
def evaluate(tmp_path: Path, home: Path, workload: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluateOperator:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "https://mlflow.example"}')
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    job = str(tmp_path / "job.py")
    return EvaluateOperator(task_id="evaluate", workload=str(workload), job=job, spark=False)


def result_file(task: EvaluateOperator, stage: str, name: str) -> Path:
    """Return the file in which an attempt of a stage leaves its result."""
    store = store_of(task.workload)
    return Path(store.uri(store.results(stage)), f"{name}.json")


def ended(task: EvaluateOperator, stage: str, seconds_ago: float, attempt: str = "scheduled__1") -> None:
    """Leave the result of a stage of the partition before."""
    file = result_file(task, stage, f"{BEFORE}-{attempt}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({}))
    at = time.time() - seconds_ago
    os.utime(file, (at, at))


def test_while_another_partition_is_promoted_it_waits_without_a_slot_and_then_judges(evaluate: Any) -> None:
    context = context_of(ti=Task(runs={PROMOTE: 1}))
    with pytest.raises(TaskDeferred) as deferred:
        evaluate.execute(context)
    assert context["task_state_store"][SHOWN_AS] == {"why": f"'{PROMOTE}' is at work, or waits for an answer"}
    context["ti"].runs[PROMOTE] = 0
    again = getattr(evaluate, deferred.value.method_name)
    assert again(context, None, **(deferred.value.kwargs or {}))["run"] == "judged"
    assert SHOWN_AS not in context["task_state_store"]


@pytest.mark.parametrize(
    ("partition", "asked", "waits"),
    [
        (PARTITION, {"needs_approval": True, "dag_run": "asset__1"}, False),
        (PARTITION, {"needs_approval": False, "dag_run": "asset__1"}, True),
        (PARTITION, {"needs_approval": True, "dag_run": "asset__0"}, True),
        (PARTITION, {"needs_approval": True}, True),
        (BEFORE, {"needs_approval": True, "dag_run": "asset__1"}, True),
    ],
    ids=["its own", "nobody is asked", "it was answered, another's is at work", "of before runs were named", "another"],
)
def test_it_does_not_wait_for_an_answer_about_its_own_verdicts(
    evaluate: Any, partition: str, asked: dict[str, Any], waits: bool
) -> None:
    """By `evaluate` again they are mended, where the champion was moved since: no answer would help."""
    review = result_file(evaluate, "review", f"{partition}-asset__1")
    review.parent.mkdir(parents=True)
    review.write_text(json.dumps(asked))
    context = context_of(ti=Task(runs={PROMOTE: 2}, running="asset__1"))
    with pytest.raises(TaskDeferred) if waits else nullcontext():
        assert evaluate.execute(context)["run"] == "judged"


def test_what_was_judged_just_now_is_promoted_first_though_airflow_has_not_begun_it(evaluate: Any) -> None:
    ended(evaluate, "evaluate", seconds_ago=2)
    context = context_of(ti=Task(runs={PROMOTE: 0}))
    with pytest.raises(TaskDeferred):
        evaluate.execute(context)
    assert context["task_state_store"][SHOWN_AS] == {"why": f"'{PROMOTE}' is about to promote partition {BEFORE}"}
    ended(evaluate, "promote", seconds_ago=1)
    assert evaluate.execute(context)["run"] == "judged"


@pytest.mark.parametrize(
    ("task", "run_id", "judged"),
    [
        (Task(runs={PROMOTE: 1}, paused=(PROMOTE,)), "manual__1", 2),
        (Task(runs={}), "manual__1", 2),
        (Task(runs={PROMOTE: 1}), "backfill__1", 2),
        (Task(runs={PROMOTE: 0}), "manual__1", 120),
    ],
    ids=["paused", "no such DAG", "a backfill promotes nothing", "it failed, or was rejected"],
)
def test_no_promotion_that_will_not_come_is_waited_for(evaluate: Any, task: Task, run_id: str, judged: float) -> None:
    ended(evaluate, "evaluate", seconds_ago=judged)
    assert evaluate.execute(context_of(ti=task, run_id=run_id))["run"] == "judged"


def of(kind: Any, task: EvaluateOperator) -> Any:
    """Return an operator of another kind that runs the same job."""
    made = kind(task_id="other", workload=task.workload, job=task.job)
    made.spark = False
    return made


@pytest.mark.parametrize("kind", [EvaluateOperator, TrainOperator])
def test_training_and_judging_wait_while_a_retry_is_at_work(evaluate: Any, kind: Any) -> None:
    task, context = of(kind, evaluate), context_of(ti=Task(runs={PROMOTE: 0}, retries=1))
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert context["task_state_store"][SHOWN_AS] == {"why": "'made.retry' is at work, or waits for an answer"}
    context["ti"].retries = 0
    assert getattr(task, deferred.value.method_name)(context, None, **(deferred.value.kwargs or {}))["run"] == "judged"


def test_a_retrys_own_judging_does_not_wait_for_itself(evaluate: Any) -> None:
    context = context_of(ti=Task(runs={PROMOTE: 0}, retries=1, dag_id="made.retry"))
    assert evaluate.execute(context)["run"] == "judged"


@pytest.mark.parametrize("stage", ["features", "train", "evaluate", "promote"])
def test_a_retry_begins_when_the_stages_are_idle(evaluate: Any, stage: str) -> None:
    runs = {f"made.{name}": 0 for name in ("features", "train", "evaluate", "promote")}
    task, context = of(FindDueOperator, evaluate), context_of(ti=Task(runs=runs | {f"made.{stage}": 1}))
    with pytest.raises(TaskDeferred):
        task.execute(context)
    assert context["task_state_store"][SHOWN_AS] == {"why": f"'made.{stage}' is at work, or waits for an answer"}
    context["ti"].paused = (f"made.{stage}",)  # what is queued there does not begin
    assert task.execute(context)["run"] == "judged"


@pytest.mark.parametrize("promote", [False, True])
def test_what_a_backfill_has_judged_is_waited_for_only_where_that_promotes(evaluate: Any, promote: bool) -> None:
    """A live partition is not held up by one that nobody promotes."""
    backfill = Backfill("manual__0", ("evaluate", *(["promote"] if promote else [])), promote=promote)
    of_backfill = context_of(dag_run=run_of(conf={"backfill": backfill.as_conf()}))
    ended(evaluate, "evaluate", seconds_ago=2, attempt=attempt_name(of_backfill))
    with pytest.raises(TaskDeferred) if promote else nullcontext():
        assert evaluate.execute(context_of(ti=Task(runs={PROMOTE: 0})))["run"] == "judged"
