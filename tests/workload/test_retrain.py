"""The section `retrain`, and which assets start a stage by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muster.errors import WorkloadError
from muster.workload.load import load_workload
from muster.workload.retrain import Retrain
from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES, STAGES, leads_to, path_to, started_by
from tests.plugins.airflow_task import WORKLOAD, declare


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Any]:
    def of(section: str) -> Retrain | None:
        file = declare(tmp_path)
        file.write_text(f"{WORKLOAD}{section}\n", encoding="utf-8")
        return load_workload(file).retrain

    return of


def test_days_may_be_written_as_such(read: Callable[[str], Any]) -> None:
    expected = Retrain(every=28, on=("degraded",), at_least_apart=14)
    assert read("retrain: {every: 28d, on: [degraded], at_least_apart: 14d}") == expected
    assert read("") is None


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("{every: 30}", r"retrain\.every: 30 is no whole number of slices: .* 7 days apart.*; write 28"),
        ("{every: 3}", r"retrain\.every: 3 is no whole number .*; write 7"),
        ("{every: 7, at_least_apart: 14}", r"retrain\.at_least_apart: 14 is more than 'every': write 7 at most"),
        ("{every: 0}", r"retrain\.every: "),
        ("{every: 7, on: [broken]}", r"retrain\.on\.0: "),
        ("{on: []}", r"retrain\.every: "),
        ("{every: 7, until: 8}", r"retrain\.until: "),
    ],
)
def test_what_fits_no_schedule_is_refused_with_what_to_write(
    section: str, problem: str, read: Callable[[str], Any]
) -> None:
    with pytest.raises(WorkloadError, match=problem):
        read(f"retrain: {section}")


BESIDE = "retrain: {every: 28}"
WAITS = "retrain: {every: 28, on: [by_hand, drifted], score_waits: true}"


@pytest.fixture
def of(tmp_path: Path) -> Callable[[str], Workload]:
    def workload(sections: str) -> Workload:
        file = declare(tmp_path)
        file.write_text(f"{WORKLOAD}{sections}\n", encoding="utf-8")
        return load_workload(file)

    return workload


def test_a_stage_is_started_by_what_the_one_before_writes_unless_training_has_a_cadence(
    of: Callable[[str], Workload],
) -> None:
    line = [(), ("observations",), ("features",), ("models",), ("decisions",), ("champion",)]
    assert [started_by(of(""), stage) for stage in STAGES] == line
    events = ("features", "degraded", "drifted", "corrected")
    assert [started_by(of(BESIDE), stage) for stage in STAGES] == [*line[:2], events, *line[3:5], ("features",)]
    waits = ("champion", "champion_kept")
    assert [started_by(of(WAITS), stage) for stage in STAGES] == [*line[:2], ("features", "drifted"), *line[3:5], waits]


def test_stages_lead_to_those_that_their_assets_start(of: Callable[[str], Workload]) -> None:
    assert leads_to(of(BESIDE))[-1] == ("features", "score")
    assert leads_to(of("")) == leads_to(of(WAITS)) == [*leads_to(of(BESIDE))[:-1], ("promote", "score")]
    assert leads_to(of(f"{BESIDE}\nmonitor: {{}}"))[-2:] == [("features", "score"), ("score", "monitor")]


def test_a_partition_goes_through_what_leads_to_a_stage_and_not_through_training_where_it_is_not_trained(
    of: Callable[[str], Workload],
) -> None:
    short = ("ingest", "features", "score")
    assert path_to(of(""), "score") == STAGE_NAMES
    assert path_to(of(BESIDE), "score") == path_to(of(WAITS), "score", trained=False) == short
    assert path_to(of(WAITS), "score") == STAGE_NAMES
    assert path_to(of(f"{BESIDE}\nmonitor: {{}}"), "monitor") == (*short, "monitor")
    assert path_to(of(BESIDE), "ingest") == ("ingest",)
