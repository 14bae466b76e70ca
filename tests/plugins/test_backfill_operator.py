"""The task of the DAG `backfill`: refused, deferred, gone on with, and what it says at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from muster.backfill.request import PROBLEM, REPORT
from muster.settings import settings
from muster_airflow.exceptions import ConnectionRefused
from muster_airflow.hooks.airflow_api import AirflowApiHook
from muster_airflow.operators.backfill import SHOWN_AS, BackfillIncomplete, BackfillOperator
from muster_airflow.operators.score import ScoreOperator
from tests.backfill.airflow import Airflow, umbrella
from tests.plugins.airflow_task import Task, context_of, declare, run_of

FIRST, SECOND = "2024-01-08", "2024-01-15"
ASKED = {"workload": "made", "from": FIRST, "to": SECOND, "stages": ["ingest"], "champion": "as-of", "promote": False}
PARAMS: dict[str, Any] = {**ASKED, "many": False, "dry_run": False}
ID = "manual__1"


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """The Airflow behind the connection."""
    declare(tmp_path)
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path))
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    made = Airflow(now=datetime.now(UTC))
    umbrella(made, ID, PARAMS)
    monkeypatch.setattr(AirflowApiHook, "client", lambda _: made)
    return made


def context(**params: Any) -> dict[str, Any]:
    run = run_of(ID, user="ann", start_date=datetime(2024, 3, 1, tzinfo=UTC))
    return context_of(partition=None, dag_run=run, ti=Task(), params={**PARAMS, **params})


def deferred(context: dict[str, Any], before: TaskDeferred | None = None) -> TaskDeferred:
    task: Any = BackfillOperator(task_id="backfill")
    method = before.method_name if before else "execute"
    event = {"event": None, **(before.kwargs or {})} if before else {}
    with pytest.raises(TaskDeferred) as raised:
        getattr(task, method)(context, **event)
    return raised.value


def test_it_starts_the_first_stage_waits_without_a_slot_and_shows_how_far_it_is(airflow: Airflow) -> None:
    asked = context()
    deferred(asked)
    assert airflow.calls == [f"trigger made.ingest {FIRST}"]
    [run] = airflow.runs(FIRST, "made")
    assert run.conf["backfill"]["who"] == "ann"
    assert asked["task_state_store"][SHOWN_AS] == {
        "partition": FIRST,
        "stage": "ingest",
        "state": "started",
        "partitions_ended": 0,
        "partitions": 2,
    }


def test_it_goes_on_where_it_was_and_says_at_its_end_what_was_done(airflow: Airflow) -> None:
    asked = context()
    first = deferred(asked)
    airflow.end("ingest", FIRST)
    second = deferred(asked, first)
    assert (second.kwargs or {})["number"] == 1
    airflow.end("ingest", SECOND, "skipped", "its data are late")
    task: Any = BackfillOperator(task_id="backfill")
    assert task.look_again(asked, None, **(second.kwargs or {})) == {
        "backfill": f"made {FIRST} to {SECOND}",
        "done": 1,
        "skipped": 1,
    }
    assert asked["ti"].pushed[REPORT]["partitions"][SECOND]["ingest"] == ["skipped", "its data are late"]


def test_it_fails_with_the_counts_where_anything_is_left_and_needs_no_retry(airflow: Airflow) -> None:
    asked = context(to=FIRST)
    first = deferred(asked)
    airflow.end("ingest", FIRST, "failed")
    task: Any = BackfillOperator(task_id="backfill")
    with pytest.raises(BackfillIncomplete, match=r"^1 failed; the log says which and why.* goes on") as raised:
        task.look_again(asked, None, **(first.kwargs or {}))
    assert isinstance(raised.value, AirflowFailException)
    assert asked["ti"].pushed[REPORT]["counts"] == {"failed": 1}


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"from": SECOND, "to": FIRST}, "is reversed"),
        ({"from": "2024-01-09"}, "'2024-01-09' is no partition of made"),
        ({"to": "2099-01-05"}, "has not ended"),
        ({"stages": ["promote"]}, "ask for it with --promote"),
        ({"workload": "none"}, "no workload 'none'"),
    ],
)
def test_what_cannot_be_meant_fails_at_once(airflow: Airflow, params: dict[str, Any], why: str) -> None:
    task: Any = BackfillOperator(task_id="backfill")
    with pytest.raises(AirflowFailException, match=why):
        task.execute(context(**params))
    assert airflow.calls == []


def test_the_second_of_two_fails_with_who_runs_the_first(airflow: Airflow) -> None:
    airflow.all_runs.clear()
    umbrella(airflow, "the-first", PARAMS)
    task: Any = BackfillOperator(task_id="backfill")
    asked = context()
    with pytest.raises(AirflowFailException, match="is being backfilled by the run 'the-first'"):
        task.execute(asked)
    assert "the-first" in asked["ti"].pushed[PROBLEM]


def test_a_look_starts_nothing(airflow: Airflow) -> None:
    task: Any = BackfillOperator(task_id="backfill")
    assert "2 partitions, one at a time" in task.execute(context(dry_run=True))["dry_run"]
    assert airflow.calls == []


@pytest.mark.parametrize(
    ("fields", "login", "token"),
    [
        ('"login": "ann", "password": "s3cret"', "ann", None),
        ('"password": "a-token"', None, "a-token"),
        ('"schema": "https"', None, None),
    ],
    ids=["a login", "a token", "neither"],
)
def test_the_connection_says_where_the_api_is_and_who_we_are(
    fields: str, login: str | None, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = f'{{"conn_type": "airflow_api", "host": "https://airflow.example/in", {fields}}}'
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", connection)
    client = AirflowApiHook().client()
    assert (client.url, client.login and client.login.user, client.token) == (
        "https://airflow.example/in",
        login,
        token,
    )
    assert "s3cret" not in repr(client)
    assert "a-token" not in repr(client)


def test_without_the_connection_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", '{"conn_type": "http", "host": "https://airflow.example"}')
    with pytest.raises(ConnectionRefused, match="has the type 'http'; give it this Airflow"):
        AirflowApiHook().client()


@pytest.mark.parametrize(
    ("conf", "options"),
    [
        ({}, None),
        ({"id": "one", "champion": "as-of"}, None),
        ({"id": "one", "champion": "today"}, {"champion": "today"}),
    ],
    ids=["live", "as of then", "today"],
)
def test_score_is_told_of_todays_champion_only_where_a_backfill_asks_for_it(
    conf: dict[str, Any], options: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Any = ScoreOperator(task_id="score", workload="made.yaml")
    monkeypatch.setattr("muster_airflow.operators.job.JobOperator.carry_out", lambda *_, **__: {})
    task.carry_out(context_of(dag_run=run_of(conf={"backfill": {"id": "one", **conf}} if conf else {})))
    assert task.job_options == options
