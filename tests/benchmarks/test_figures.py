"""Figures and their goals."""

from __future__ import annotations

import math

import pytest

from benchmarks.figures import Figure, median_seconds


@pytest.mark.parametrize(
    ("figure", "goal", "met"),
    [
        (Figure("a", 1.3, "x", at_most=1.3), "<= 1.3", True),
        (Figure("a", 1.31, "x", at_most=1.3), "<= 1.3", False),
        (Figure("a", 100, "x", at_least=100), ">= 100", True),
        (Figure("a", 99.9, "x", at_least=100), ">= 100", False),
        (Figure("a", math.nan, "x", at_most=1), "<= 1", False),
        (Figure("a", 5, "x"), "", None),
    ],
)
def test_goal_is_met_or_missed_or_not_there(figure: Figure, goal: str, met: bool | None) -> None:
    assert (figure.goal, figure.met) == (goal, met)


def test_median_is_of_as_many_calls_as_asked() -> None:
    calls: list[int] = []
    assert median_seconds(lambda: calls.append(1), repeats=5) < 1
    assert len(calls) == 5
