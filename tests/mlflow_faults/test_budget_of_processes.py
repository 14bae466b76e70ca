"""Eight processes against one budget, counted where the server would count."""

from __future__ import annotations

import time

import pytest

from muster.settings.limits import CLASSES
from tests.mlflow_faults.conftest import Processes
from tests.mlflow_faults.plan import Plan
from tests.mlflow_faults.running import RunningProxy
from tests.mlflow_faults.windows import busiest_second, used

# On the worker of the whole line: processes are forked from one that has imported MLflow for it.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]

FIGURES = {"search": 7, "log_batch": 16, "registry": 13, "rest": 30}
"""Calls a second that a busy machine can still make; `./muster bench budget` measures the default figures."""

TURNS = 3
"""A busy machine may hold up eight processes for seconds: then another turn is taken, and the best counts."""


def test_eight_processes_use_the_budget_and_exceed_it_in_no_second(processes: Processes, faults: RunningProxy) -> None:
    """That it is never exceeded holds on any machine; half of it only a broken budget leaves unused.

    How much is used on a quiet machine `./muster bench budget` measures.
    """
    best = dict.fromkeys(CLASSES, 0.0)
    for _ in range(TURNS):
        faults.follow(Plan())
        answered = processes.hammer(8, 12, FIGURES)
        busiest = faults.busiest()
        assert {name for name in CLASSES if busiest[name] > FIGURES[name]} == set(), busiest
        assert answered + 2 == len(faults.seen())  # two made what the calls are about
        shares = {name: used(times, FIGURES[name]) for name, times in faults.times(without="create").items()}
        best = {name: max(best[name], share) for name, share in shares.items()}
        if min(best.values()) > 0.5:
            return
    raise AssertionError(f"of the budget was used at most: {best}")


def test_processes_find_what_a_server_lets_through_and_go_on_when_it_lets_more(
    processes: Processes, faults: RunningProxy
) -> None:
    faults.follow(Plan(limits={"rest": 20}))
    waiting = {"recovery": 8.0, "first_pause": 0.1}
    budget = {"rest": 80}
    processes.hammer(4, 8, budget, "rest", **waiting)
    throttled = [line["at"] for line in faults.seen() if line["fate"] == "429 limit"]
    through = [line["at"] for line in faults.seen() if line["fate"] == "pass" and line["class"] == "rest"]
    assert len(throttled) < 0.25 * len(through)
    assert len(through) > 0.4 * 20 * 8
    faults.follow(Plan())
    time.sleep(4)
    processes.hammer(4, 4, budget, "rest", **waiting)
    later = faults.times()["rest"]
    assert 25 < busiest_second(later) <= 80  # more than the 20 of before; how many more is a busy machine's affair
