"""What executors get: a share that adds up, and moments that groups do not share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from muster.mlflow.budget.executors import jitter, share


def test_executors_elsewhere_share_what_those_on_the_host_have_together() -> None:
    assert share(4, same_host=True) == 0.5
    assert share(4, same_host=False) * 4 == 0.5


@pytest.mark.parametrize(("executors", "of_all"), [(0, 0.5), (1, 0), (1, 1.5)])
def test_a_share_of_nothing_is_refused(executors: int, of_all: float) -> None:
    with pytest.raises(ValueError, match="give one or more"):
        share(executors, same_host=True, of_all=of_all)


def test_a_group_begins_at_the_same_moment_in_every_process() -> None:
    code = "from muster.mlflow.budget.executors import jitter; print(jitter('UA,EWR,ORD', 30))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{jitter('UA,EWR,ORD', 30)}\n".encode()}


def test_groups_begin_evenly_spread() -> None:
    starts = [jitter(f"{number},X", 10) for number in range(5000)]
    tenths = [sum(tenth <= start < tenth + 1 for start in starts) for tenth in range(10)]
    assert sum(tenths) == 5000
    assert 400 < min(tenths) <= max(tenths) < 600
