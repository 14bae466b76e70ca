"""A task for which MLflow has no room: it gives its slot back, comes back in time and not in step, and not for ever."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from muster.mlflow.budget.budget import budget
from muster_airflow.exceptions import WaitedTooLong
from muster_airflow.operators.job import JobOperator
from muster_airflow.triggers.mlflow_budget import MlflowBudgetTrigger
from muster_airflow.waiting import SHOWN_AS, come_back_at
from tests.plugins.airflow_task import context_of

NOW = datetime(2024, 2, 5, 12, tzinfo=UTC)
SPENT = """
import datetime, json, os, pathlib, sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
result, tries = pathlib.Path(arguments["--result"]), pathlib.Path({tries!r})
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
result.parent.mkdir(parents=True, exist_ok=True)
again = len(tries.read_text()) > {refusals}
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds={seconds})
answer = {{"trained": 3}} if again else {{"until": until.isoformat(), "why": "calls of class 'search' are throttled"}}
result.write_text(json.dumps(answer))
sys.exit(0 if again else os.EX_TEMPFAIL)
"""


@pytest.fixture
def task(tmp_path: Path, home: Path, workload: Path):  # type: ignore[no-untyped-def]
    """Return a maker of tasks whose job finds the budget spent some times, then does its work."""

    def make(refusals: int, seconds: float = 1.0, **more: Any) -> JobOperator:
        job = tmp_path / "job.py"
        tries = str(tmp_path / "tries")
        job.write_text(SPENT.format(tries=tries, refusals=refusals, seconds=seconds), encoding="utf-8")
        own = {"job": str(job), "workload": str(workload), "spark": False, "mlflow": False}
        return JobOperator(task_id="train", stage="train", **{**own, **more})

    return make


def fire(deferred: TaskDeferred) -> Any:
    """Store the trigger as Airflow does, make it anew and wait for its event."""
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")

    async def first() -> Any:
        async for event in getattr(import_module(module), name)(**arguments).run():
            return event.payload

    return asyncio.run(first())


@pytest.mark.slow
def test_the_job_runs_again_when_mlflow_takes_calls(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    operator, context = task(refusals=1), context_of()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    until = datetime.fromisoformat(context["task_state_store"][SHOWN_AS]["until"])
    assert context["task_state_store"][SHOWN_AS]["why"] == "calls of class 'search' are throttled"
    printed = capsys.readouterr().out
    assert re.search(r"MLflow takes no calls before .*\n.* Why: calls of class 'search' are throttled", printed)
    assert re.search(r"Gave the slot back; goes on in \d+ s, at .*; no retry is used", printed)
    event = fire(deferred.value)
    assert datetime.now(UTC) >= until
    resume = getattr(operator, deferred.value.method_name)
    assert resume(context, event=event, **deferred.value.kwargs or {}) == {"trained": 3}
    assert SHOWN_AS not in context["task_state_store"]


@pytest.mark.parametrize(("seconds", "starts"), [(20, True), (90, False)])
def test_no_job_starts_while_the_host_knows_that_mlflow_wants_no_calls(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, starts: bool
) -> None:
    value = {"conn_type": "mlflow", "host": "https://ml.example"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(value))
    budget("https://ml.example").record_unavailability({"Retry-After": str(seconds)})
    operator, context = task(refusals=0, mlflow=True), context_of()
    if starts:
        operator.execute(context)
    else:
        with pytest.raises(TaskDeferred):
            operator.execute(context)
        assert "ml.example" in context["task_state_store"][SHOWN_AS]["why"]
    assert (tmp_path / "tries").exists() is starts


@pytest.mark.slow
def test_a_task_does_not_wait_for_ever(task: Any) -> None:
    operator, context = task(refusals=9, seconds=1000.0, max_wait=timedelta(seconds=1500)), context_of()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    began = datetime.now(UTC) - timedelta(seconds=600)
    assert deferred.value.kwargs is not None
    with pytest.raises(WaitedTooLong, match=r"a task waits 0:25:00 at most. Raise the figures") as waited:
        operator.resume(context, event=None, since=began.isoformat())
    assert isinstance(waited.value, AirflowFailException)


def test_what_the_first_wait_was_is_remembered_over_all_waits(task: Any) -> None:
    operator, context = task(refusals=9), context_of()
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    with pytest.raises(TaskDeferred) as deferred:
        operator.resume(context, event=None, since=since)
    assert deferred.value.kwargs == {"since": since}


@pytest.mark.parametrize("seconds", [-5, 0, 1, 90, 3600])
def test_fifty_tasks_come_back_after_the_moment_and_not_in_step(seconds: float) -> None:
    until = NOW + timedelta(seconds=seconds)
    back = sorted(come_back_at(until, NOW, f"made.train manual__1 train {number}") for number in range(50))
    assert back[0] >= max(until, NOW)
    assert back[-1] <= max(until, NOW) + timedelta(seconds=60)
    assert all(later > earlier for earlier, later in pairwise(back))
    assert back[-1] - back[0] > timedelta(seconds=1.5)


def test_the_trigger_never_fires_early() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=0.6)
    fire(TaskDeferred(trigger=MlflowBudgetTrigger(moment.isoformat(), "throttled"), method_name="resume"))
    assert datetime.now(UTC) >= moment
