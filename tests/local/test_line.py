"""Watching a partition pass the stages, by what Airflow tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from muster.airflow_runs import DagRun, TaskInstance
from muster.workload.load import load_workload
from muster.workload.stages import ALL_STAGE_NAMES, STAGE_NAMES
from muster_local import line
from muster_local.line import DagsMissing, DagsPaused, Line, LineStopped
from tests.plugins.airflow_task import WORKLOAD, declare

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


def test_a_workload_that_is_watched_is_followed_to_the_end_of_monitor(tmp_path: Path) -> None:
    airflow, file = Airflow(reaches=len(ALL_STAGE_NAMES)), declare(tmp_path)
    file.write_text(f"{WORKLOAD}monitor: {{}}\n", encoding="utf-8")
    watched = Line(airflow, "flights", lambda *_: None, load_workload(file))  # type: ignore[arg-type]
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


@dataclass
class SeldomTrained(Airflow):
    """An Airflow in which a partition is scored beside a run of training that decides not to train."""

    kept: bool = True

    def runs(self, partition: str) -> Iterator[DagRun]:
        begun = self.triggered[:1] and ["ingest", "features", "train", "score", *([] if self.kept else ["promote"])]
        self.looks += 1
        for stage in begun:
            state = "running" if stage == "promote" and self.looks < 5 else "success"
            yield DagRun(f"flights.{stage}", f"new-{stage}", state, 1.5)

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        states = {"decide": "success", "train": "skipped" if self.kept else "success"}
        if run.dag == "flights.train":
            return [TaskInstance(task, state, 1, -1) for task, state in states.items()]
        return super().tasks(run)


@pytest.mark.parametrize("waits", ["false", "true"])
def test_a_partition_that_is_not_trained_ends_with_its_scores(updates: list[str], tmp_path: Path, waits: str) -> None:
    seconds = seldom(SeldomTrained(), updates, tmp_path, waits).run(DAY)
    assert set(seconds) == {"ingest", "features", "train", "score"}
    assert "train skipped" in updates


def test_a_partition_that_is_trained_beside_its_scoring_ends_with_its_promotion(
    updates: list[str], tmp_path: Path
) -> None:
    assert "promote" in seldom(SeldomTrained(kept=False), updates, tmp_path, "false").run(DAY)
    assert "promote success" in updates


def seldom(airflow: Airflow, updates: list[str], folder: Path, waits: str) -> Line:
    file = declare(folder)
    file.write_text(f"{WORKLOAD}retrain: {{every: 14, score_waits: {waits}}}\n", encoding="utf-8")
    on_stage = lambda stage, state, _: updates.append(f"{stage} {state}")  # noqa: E731
    return Line(airflow, "flights", on_stage, load_workload(file))  # type: ignore[arg-type]


def test_where_nothing_was_scored_nobody_waits_for_monitor(updates: list[str], tmp_path: Path) -> None:
    file = declare(tmp_path)
    file.write_text(f"{WORKLOAD}monitor: {{}}\n", encoding="utf-8")
    airflow = Airflow(skipping="score")
    assert set(Line(airflow, "flights", lambda *_: None, load_workload(file)).run(DAY)) == set(STAGE_NAMES)  # type: ignore[arg-type]
