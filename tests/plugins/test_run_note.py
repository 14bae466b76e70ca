"""The note on a task's run: ours comes and goes, a human's stays."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from muster.airflow_api import AirflowUnreachable
from muster_airflow import run_note
from muster_airflow.exceptions import ConnectionRefused
from muster_airflow.run_note import RunNote
from tests.plugins.airflow_task import context_of


@dataclass
class Api:
    """Airflow's REST API, with one run."""

    there: str = ""
    written: list[str] = field(default_factory=list)
    down: bool = False

    def note(self, dag: str, run: str) -> str:
        assert (dag, run) == ("made.train", "manual__1")
        if self.down:
            raise AirflowUnreachable("http://airflow")
        return self.there

    def set_note(self, dag: str, run: str, note: str) -> None:
        self.there = note
        self.written.append(note)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(run_note, "_client", lambda: api)
    return api


def note() -> RunNote:
    context: Any = context_of()
    return RunNote(context, logging.getLogger("task"))


def test_what_changes_is_written_once_and_taken_away_at_the_end(api: Api) -> None:
    ours = note()
    for text in ("5 of 10", "5 of 10", "9 of 10"):
        ours.write(text)
    ours.clear()
    assert api.written == ["muster: 5 of 10", "muster: 9 of 10", ""]


def test_another_process_of_the_task_takes_away_what_the_first_has_written(api: Api) -> None:
    note().write("waits")
    note().clear()
    assert api.there == ""


def test_a_humans_note_stays_as_it_is(api: Api) -> None:
    api.there = "I look into this. Ann"
    ours = note()
    ours.write("5 of 10")
    ours.clear()
    assert (api.there, api.written) == ("I look into this. Ann", [])


def test_where_the_api_does_not_answer_the_task_goes_on_and_asks_no_second_time(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.down, ours = True, note()
    with caplog.at_level(logging.INFO):
        ours.write("5 of 10")
        ours.write("6 of 10")
    assert [record.getMessage() for record in caplog.records] == [
        "No note is written on the run: Airflow does not answer at http://airflow; ./muster status shows what runs"
    ]


def test_without_a_connection_there_is_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise ConnectionRefused("airflow_api", "does not exist", "give it one")

    monkeypatch.setattr(run_note, "_client", refuse)
    note().write("5 of 10")
