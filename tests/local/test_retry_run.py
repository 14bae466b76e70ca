"""A retry started in Airflow and watched to its end, by what Airflow tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from muster.airflow_runs import DagRun, TaskInstance
from muster_local import retry_run
from muster_local.line import DagsMissing, DagsPaused, LineStopped
from muster_local.retry_run import RetryRun

DAY = "2013-06-03"


@dataclass
class Airflow:
    """An Airflow in which the run has ended at the second look."""

    ends: dict[str, str] = field(default_factory=lambda: {"find_due": "success", "promote": "success"})
    state: str = "success"
    dags: bool = True
    stopped: tuple[str, ...] = ()
    triggered: list[Any] = field(default_factory=list)
    looks: int = 0
    url: str = "http://airflow"

    def has_dag(self, dag: str) -> bool:
        return self.dags

    def import_errors(self) -> list[str]:
        return []

    def paused(self) -> set[str]:
        return set(self.stopped)

    def trigger(self, dag: str, partition: str, conf: Any) -> str:
        self.triggered.append((dag, partition, conf))
        return "mine"

    def runs(self, partition: str) -> Iterator[DagRun]:
        self.looks += 1
        yield DagRun("flights.retry", "another", "failed", 1.0)
        yield DagRun("flights.retry", "mine", self.state if self.looks > 1 else "running", 1.0)

    def tasks(self, run: DagRun) -> list[TaskInstance]:
        assert run.id == "mine"
        ends = self.ends if self.looks > 1 else {"find_due": "deferred"}
        return [TaskInstance(task, state, 1, -1) for task, state in ends.items()]

    def log(self, run: DagRun, task: TaskInstance) -> list[str]:
        return [f"{task.task} says why"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_run, "POLL_SECONDS", 0.001)


def follow(airflow: Airflow) -> list[str]:
    updates: list[str] = []
    RetryRun(airflow, "flights", lambda task, state: updates.append(f"{task} {state}")).run(DAY, ["a"], "mended")  # type: ignore[arg-type]
    return updates


def test_a_retry_is_started_once_with_its_form_and_its_own_run_is_watched() -> None:
    airflow = Airflow()
    assert follow(airflow) == ["find_due waiting, its page says for what", "find_due success", "promote success"]
    assert airflow.triggered == [("flights.retry", DAY, {"groups": ["a"], "why": "mended"})]


def test_where_nothing_was_due_after_all_it_ends_well() -> None:
    follow(Airflow({"find_due": "skipped", "promote": "skipped"}))


@pytest.mark.parametrize(
    ("airflow", "error", "why"),
    [
        (
            Airflow({"find_due": "success", "train": "failed"}, "failed"),
            LineStopped,
            "flights.retry failed, see http://",
        ),
        (Airflow({"find_due": "success", "promote": "skipped"}), LineStopped, "promoted nothing"),
        (Airflow(dags=False), DagsMissing, "no DAG flights.retry"),
        (Airflow(stopped=("flights.retry",)), DagsPaused, "somebody has paused flights.retry"),
    ],
)
def test_what_stops_it_is_told(airflow: Airflow, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        follow(airflow)


def test_the_failing_tasks_last_lines_come_with_the_error() -> None:
    with pytest.raises(LineStopped) as stopped:
        follow(Airflow({"find_due": "success", "train": "failed"}, "failed"))
    assert stopped.value.log == ["train says why"]
