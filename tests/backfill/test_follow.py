"""A backfill begun by a command, continued and followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from muster.backfill import follow
from muster.backfill.advance import RunBefore, StagesPaused
from muster.backfill.follow import Follower, begin
from muster.backfill.request import DAG, Request
from tests.backfill.airflow import Airflow, umbrella

FIRST, SECOND = "2024-01-08", "2024-01-15"
REQUEST = Request.of_form({"workload": "made", "from": FIRST, "to": SECOND})


def test_a_new_one_is_a_run_of_its_dag_with_all_that_was_asked() -> None:
    airflow = Airflow()
    id, how = begin(airflow, REQUEST, many=True)
    [run] = airflow.runs_of(DAG)
    assert (run.id, run.partition, how) == (id, None, "begins")
    assert run.conf == {**REQUEST.form(), "many": True, "dry_run": False}


@pytest.mark.parametrize(
    ("state", "how", "cleared"), [("running", "is at work already", 0), ("queued", "is at work already", 0)]
)
def test_one_of_the_same_arguments_that_is_at_work_is_followed(state: str, how: str, cleared: int) -> None:
    airflow = Airflow()
    umbrella(airflow, "the-first", REQUEST.form(), state)
    assert begin(airflow, REQUEST) == ("the-first", how)
    assert len(airflow.calls) == cleared


def test_one_that_failed_or_was_stopped_goes_on_by_the_same_run() -> None:
    airflow = Airflow()
    umbrella(airflow, "the-first", REQUEST.form(), "failed")
    assert begin(airflow, REQUEST) == ("the-first", "goes on")
    assert [run.state for run in airflow.runs_of(DAG)] == ["queued"]


def test_after_one_that_came_to_its_end_there_is_a_new_one() -> None:
    airflow = Airflow()
    umbrella(airflow, "before", REQUEST.form(), "failed")
    umbrella(airflow, "the-last", REQUEST.form(), "success")
    id, how = begin(airflow, REQUEST)
    assert (id not in ("before", "the-last"), how) == (True, "begins")


def test_one_of_other_arguments_is_none_to_go_on_with() -> None:
    airflow = Airflow()
    umbrella(airflow, "the-first", {**REQUEST.form(), "champion": "today"}, "failed")
    assert begin(airflow, REQUEST)[1] == "begins"


def test_beside_another_that_shares_a_partition_nothing_is_begun() -> None:
    airflow = Airflow()
    umbrella(airflow, "the-first", {**REQUEST.form(), "stages": ["score"]})
    with pytest.raises(RunBefore, match="by the run 'the-first' of 'backfill', started by 'ann', since 2024-03-01"):
        begin(airflow, REQUEST)
    assert airflow.calls == []


def test_while_its_dag_is_paused_nothing_is_begun() -> None:
    airflow = Airflow(paused_dags={DAG})
    with pytest.raises(StagesPaused, match=r"^paused: backfill; unpause"):
        begin(airflow, REQUEST)
    assert airflow.calls == []


def test_a_follower_passes_on_each_change_once_and_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow, told = Airflow(), []
    run = umbrella(airflow, "one", REQUEST.form())
    conf = {"backfill": {"id": "one"}}
    steps = [
        lambda: airflow.add("made.ingest", "of-first", FIRST, conf),
        lambda: None,
        lambda: airflow.end("ingest", FIRST, "skipped", "its data are late"),
        lambda: airflow.add("made.ingest", "of-second", SECOND, conf),
        lambda: airflow.end("ingest", SECOND, "failed"),
        lambda: airflow._put(replace(run, state="failed")),
    ]
    monkeypatch.setattr(follow.time, "sleep", lambda _: steps.pop(0)())
    follower = Follower(airflow, REQUEST, "one", [FIRST, SECOND], lambda *change: told.append(change))
    ended, report = follower.follow()
    assert (ended.state, report) == ("failed", None)
    assert told == [
        (FIRST, "ingest", "queued", ""),
        (FIRST, "ingest", "skipped", "its data are late"),
        (SECOND, "ingest", "queued", ""),
        (SECOND, "ingest", "failed", "its log says why"),
    ]
    assert follower.problem(ended).startswith("somebody has stopped it")
    monkeypatch.setattr(airflow, "xcom", lambda task, key: "refused" if key == "problem" else None)
    assert follower.problem(ended) == "refused"


def test_what_a_run_says_of_each_stage_is_handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow, report = Airflow(), {"counts": {"done": 1}}
    umbrella(airflow, "one", REQUEST.form(), "success")
    said: Any = lambda task, key: report if key == "report" else None  # noqa: E731
    monkeypatch.setattr(airflow, "xcom", said)
    assert Follower(airflow, REQUEST, "one", [FIRST], lambda *_: None).follow()[1] == report
