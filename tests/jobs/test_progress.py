"""How far a stage is, told now and then: by Spark's own word, on a Connect server and within an application."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from muster.progress import Step, shown_in
from muster_jobs import progress as module
from muster_jobs.progress import QUIET_SECONDS, Progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Session:
    """A Connect session whose tasks end when the test says so."""

    def __init__(self) -> None:
        self.handlers: list[Callable[..., None]] = []
        self.registerProgressHandler = self.handlers.append
        self.removeProgressHandler = self.handlers.remove

    def ended(self, *stages: tuple[int, int]) -> None:
        for handler in self.handlers:
            infos = [SimpleNamespace(num_tasks=tasks, num_completed_tasks=done) for tasks, done in stages]
            handler(stages=infos, inflight_tasks=0, operation_id="1", done=False)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr("pyspark.sql.utils.is_remote", lambda: True)
    return Session()


def told(progress: Progress, session: Any, tasks: int | None, *steps: tuple[float, tuple[int, int]]) -> list[str]:
    """Return the lines for tasks that have ended at some seconds."""
    lines: list[str] = []
    progress.tell, now = lines.append, [0.0]
    progress.clock = lambda: now[0]
    with progress.watch(session, tasks):
        for seconds, stage in steps:
            now[0] = seconds
            session.ended((3, 3), stage)
    return lines


def test_it_tells_how_many_of_all_are_done_and_how_long_the_rest_takes(remote: Session) -> None:
    lines = told(Progress(total=50_000), remote, 8, (60, (8, 2)), (120, (8, 4)), (240, (8, 8)))
    assert lines == [
        "progress: about 12,500 of 50,000 groups, 3 min left",
        "progress: about 25,000 of 50,000 groups, 2 min left",
    ]
    assert remote.handlers == []


def test_nothing_is_told_twice_or_early_or_more_often_than_that(remote: Session) -> None:
    soon, later = QUIET_SECONDS - 1, QUIET_SECONDS + 1
    steps = [
        (soon, (8, 1)),
        (later, (8, 1)),
        (later + 5, (8, 2)),
        (later + 6, (8, 2)),
        (later + QUIET_SECONDS - 1, (8, 2)),
    ]
    assert len(told(Progress(total=80), remote, 8, *steps)) == 1
    assert told(Progress(total=80), remote, 8, (soon, (8, 4))) == []


def test_of_work_whose_tasks_nobody_counts_it_tells_the_share_of_all(remote: Session) -> None:
    assert told(Progress(), remote, None, (30, (3, 0))) == ["progress: about 50% of the work, 30 s left"]


def test_one_task_is_done_or_not(remote: Session) -> None:
    assert told(Progress(total=5), remote, 1, (90, (1, 0))) == []


def test_a_handler_is_taken_back_where_the_work_fails(remote: Session) -> None:
    with pytest.raises(ZeroDivisionError), Progress().watch(remote, 2):  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert remote.handlers == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (str(Step("groups", 10, 0.5, 9)), "about 5 of 10 groups, 9 s left"),
        ("  progress: about 3\n", "about 3"),
        ("progress:", None),
        ("in progress: no", None),
    ],
)
def test_a_line_is_read_as_it_was_written(line: str, shown: str | None) -> None:
    assert shown_in(line) == shown


@pytest.mark.spark
def test_a_server_tells_of_the_tasks_while_they_run(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    lines: list[str] = []

    def slow(batches: Any) -> Any:
        import time

        for batch in batches:
            time.sleep(1)
            yield batch

    with Progress(total=600, tell=lines.append).watch(spark, 6):
        assert spark.range(0, 6, 1, 6).mapInArrow(slow, "id long").toArrow().num_rows == 6
    assert lines
    assert all(line.startswith("progress: about ") and " of 600 groups, " in line for line in lines)
