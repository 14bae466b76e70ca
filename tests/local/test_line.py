"""Watching a partition pass the stages, by what Airflow tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from muster.workload.stages import ALL_STAGE_NAMES, STAGE_NAMES
from muster_local import line
from muster_local.airflow_api import DagRun, TaskInstance
from muster_local.line import DagsMissing, DagsPaused, Line, LineStopped

DAY = "2013-06-03"


@dataclass
class Airflow:
    """An Airflow in which each look finds the line one state further."""

    earlier: list[DagRun] = field(default_factory=list)
    failing: str = ""
    skipping: str = ""
    reaches: int = len(STAGE_NAMES)
    dags: bool = True
    triggered: list[str] = field(default_factory=list)
    paused: tuple[str, ...] = ()
    unpaused: list[str] = field(default_factory=list)
    looks: int = 0
    url: str = "http://airflow"

    def has_dag(self, dag: str) -> bool:
        return self.dags

    def import_errors(self) -> list[str]:
        return ["workloads.py: SyntaxError: invalid syntax"]

    def paused_by_hand(self, dag: str) -> bool:
        return dag in self.paused

    def unpause(self, dag: str) -> None:
        self.unpaused.append(dag)

    def trigger(self, dag: str, partition: str) -> None:
        self.triggered.append(f"{dag} {partition}")

    def runs(self, partition: str) -> Iterator[DagRun]:
        if self.triggered or any(run.active for run in self.earlier):
            self.looks += 1
            for number, stage in reversed(list(enumerate(ALL_STAGE_NAMES[: self.reaches]))):
                if self.looks > 2 * number:
                    end_state = "failed" if stage == self.failing else "success"
                    state = end_state if self.looks > 2 * number + 1 else "running"
                    yield DagRun(f"flights.{stage}", f"new-{stage}", state, 1.5 if state == end_state else None)
                if stage == self.failing:
                    return
        yield from self.earlier

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        state = run.state if run.state == "failed" else "running"
        if run.dag == f"flights.{self.skipping}":
            return [TaskInstance("never ran", "skipped", 0, -1), TaskInstance("run", "skipped", 1, -1)]
        return [TaskInstance("run", state, 1, -1)]

    def log(self, run: DagRun, task: TaskInstance) -> list[str]:
        return ["::group::Logs", "", "no such column: delay"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(line, "NEXT_STAGE_SECONDS", 0.05)


@pytest.fixture
def updates() -> list[str]:
    return []


@pytest.fixture
def follow(updates: list[str]) -> Callable[[Airflow], Line]:
    return lambda airflow: Line(airflow, "flights", lambda stage, state, _: updates.append(f"{stage} {state}"))  # type: ignore[arg-type]


def test_a_partition_is_started_once_and_followed_through_all_stages(
    follow: Callable[[Airflow], Line], updates: list[str]
) -> None:
    airflow = Airflow()
    assert follow(airflow).run(DAY) == dict.fromkeys(STAGE_NAMES, 1.5)
    assert airflow.triggered == [f"flights.ingest {DAY}"]
    assert [text for text in updates if text.endswith("success")] == [f"{stage} success" for stage in STAGE_NAMES]


def test_a_workload_that_is_watched_is_followed_to_the_end_of_monitor() -> None:
    airflow = Airflow(reaches=len(ALL_STAGE_NAMES))
    watched = Line(airflow, "flights", lambda *_: None, ALL_STAGE_NAMES)  # type: ignore[arg-type]
    assert watched.run(DAY) == dict.fromkeys(ALL_STAGE_NAMES, 1.5)


def test_earlier_runs_of_the_partition_are_not_taken_for_this_one(follow: Callable[[Airflow], Line]) -> None:
    airflow = Airflow(earlier=[DagRun(f"flights.{stage}", f"old-{stage}", "failed", 9.0) for stage in STAGE_NAMES])
    assert follow(airflow).run(DAY) == dict.fromkeys(STAGE_NAMES, 1.5)


def test_an_unfinished_run_is_followed_instead_of_starting_another(follow: Callable[[Airflow], Line]) -> None:
    airflow = Airflow(earlier=[DagRun("flights.ingest", "new-ingest", "running", None)])
    follow(airflow).run(DAY)
    assert airflow.triggered == []


def test_a_failing_stage_stops_the_line_with_its_page_and_its_log(follow: Callable[[Airflow], Line]) -> None:
    with pytest.raises(LineStopped, match=r"flights\.train failed, see http://airflow/dags/flights\.train") as stopped:
        follow(Airflow(failing="train")).run(DAY)
    assert stopped.value.log == ["no such column: delay"]


def test_a_stage_that_is_skipped_stops_the_line_with_its_log(follow: Callable[[Airflow], Line]) -> None:
    with pytest.raises(LineStopped, match=r"flights\.promote was skipped, see http://airflow") as stopped:
        follow(Airflow(skipping="promote", reaches=5)).run(DAY)
    assert stopped.value.log == ["no such column: delay"]


def test_without_a_champion_nothing_is_scored_and_the_line_has_ended(
    follow: Callable[[Airflow], Line], updates: list[str]
) -> None:
    follow(Airflow(skipping="score")).run(DAY)
    assert updates[-1] == "score skipped"


def test_what_somebody_has_paused_is_named_and_stays_paused(follow: Callable[[Airflow], Line]) -> None:
    airflow = Airflow(paused=("flights.promote",))
    with pytest.raises(DagsPaused, match=r"somebody has paused flights\.promote: .* unpause at http://airflow/dags"):
        follow(airflow).open()
    assert airflow.unpaused == []
    follow(Airflow(unpaused=airflow.unpaused)).open()
    assert airflow.unpaused == [f"flights.{stage}" for stage in STAGE_NAMES]


def test_a_stage_that_never_starts_is_named(follow: Callable[[Airflow], Line], updates: list[str]) -> None:
    with pytest.raises(LineStopped, match=r"flights\.evaluate did not start"):
        follow(Airflow(reaches=3)).run(DAY)
    assert updates[-1] == "evaluate has not started yet"


def test_missing_dags_are_told_with_the_reason(follow: Callable[[Airflow], Line]) -> None:
    with pytest.raises(DagsMissing, match=r"no DAG flights\.ingest.*SyntaxError"):
        follow(Airflow(dags=False)).open()
