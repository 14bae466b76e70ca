"""What `monitor` may declare."""

from __future__ import annotations

from typing import Any

import pytest

from muster.workload.monitor_checks import monitor
from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES, stage_names
from tests.monitoring.made import DECLARED


def declared(**section: Any) -> Workload:
    return Workload.model_validate(DECLARED | {"monitor": section})


@pytest.mark.parametrize(
    ("section", "where", "problem"),
    [
        ({"columns": ["signal", "nois"]}, "monitor.columns.1", "'nois' is no feature; write some of signal, noise"),
        ({"days": 10}, "monitor.days", "10 are no whole slices of 7 days; write a multiple of 7"),
        ({"days": 3}, "monitor.days", "3 are no whole slices of 7 days; write a multiple of 7"),
    ],
)
def test_what_cannot_be_watched_is_refused(section: dict[str, Any], where: str, problem: str) -> None:
    assert list(monitor(declared(**section))) == [(where, problem)]


def test_whole_slices_and_features_can_be_watched() -> None:
    assert list(monitor(declared(days=28, columns=["noise"]))) == []


def test_only_who_declares_it_has_the_stage() -> None:
    assert stage_names(declared()) == (*STAGE_NAMES, "monitor")
    assert stage_names(declared().model_copy(update={"monitor": None})) == STAGE_NAMES
