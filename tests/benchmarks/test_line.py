"""The line's times, read from Airflow's runs and Spark's jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks import line
from benchmarks.figures import NeedsStack
from muster.airflow_runs import DagRun
from muster.settings import Settings
from muster.workload.stages import STAGE_NAMES

NOON = datetime(2013, 6, 10, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def span(start: float, stop: float) -> line.Span:
    return at(start), at(stop)


@pytest.mark.parametrize(
    ("busy", "idle"),
    [
        ([], 1.0),
        ([span(0, 10)], 0.0),
        ([span(2, 4), span(6, 7)], 0.7),
        ([span(2, 6), span(3, 4), span(5, 7)], 0.5),
        ([span(-5, 1), span(9, 20)], 0.8),
        ([span(30, 40)], 1.0),
    ],
    ids=["nothing", "all", "apart", "overlapping", "beyond both ends", "elsewhere"],
)
def test_idle_share_is_what_no_span_covers(busy: list[line.Span], idle: float) -> None:
    assert line.idle_share(busy, span(0, 10)) == pytest.approx(idle)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[DagRun]:
    """Six stages of three seconds each, a second apart; one Spark job of two seconds in each."""
    stage_runs = [
        DagRun(f"flight_delays.{stage}", stage, "success", 3.0, at(4 * n), at(4 * n + 1), at(4 * n + 4))
        for n, stage in enumerate(STAGE_NAMES)
    ]

    class Fake:
        def __init__(self, url: str, login: object) -> None: ...

        def runs(self, partition: str) -> Iterator[DagRun]:
            return iter(stage_runs[::-1])

    monkeypatch.setattr(line, "Airflow", Fake)
    monkeypatch.setattr(line, "get", spark([span(4 * n + 1, 4 * n + 3) for n in range(6)]))
    return stage_runs


def spark(jobs: list[line.Span]) -> Any:
    """Answer as Spark's interface does, with one job that still runs."""

    class Answer:
        def __init__(self, content: object) -> None:
            self.json = lambda: content

    times = [[moment.strftime("%Y-%m-%dT%H:%M:%S.000GMT") for moment in job] for job in jobs]
    finished = [{"submissionTime": start, "completionTime": stop} for start, stop in times]
    running = {"submissionTime": "2013-06-10T11:00:00.000GMT"}
    return lambda url, **_: Answer([*finished, running] if url.endswith("/jobs") else [{"id": "app"}])


@pytest.mark.usefixtures("runs")
def test_wall_is_from_the_first_request_to_the_last_end() -> None:
    wall, between, idle = line.run(Settings())
    assert (wall.value, wall.met) == (24.0, True)
    assert between.value == pytest.approx(6 / 24)
    assert idle.value == pytest.approx(12 / 24)


def test_line_that_is_not_through_yet_says_what_to_do(runs: list[DagRun]) -> None:
    del runs[-1]
    with pytest.raises(NeedsStack, match=r"has not passed all stages; start it with ./muster up"):
        line.run(Settings())


def test_stage_run_again_later_is_not_taken_for_the_line(runs: list[DagRun]) -> None:
    runs[0] = DagRun("flight_delays.ingest", "again", "success", 3.0, at(90), at(91), at(94))
    with pytest.raises(NeedsStack, match="was run again by itself"):
        line.run(Settings())


def test_spark_that_forgot_its_jobs_gives_no_figure(runs: list[DagRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "get", lambda *_, **__: None)
    assert [figure.name for figure in line.run(Settings())] == ["second week's line, wall", "of it, no stage ran"]
