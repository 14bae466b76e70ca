"""The section `freshness`, and limits that could never hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workload.test_outcome import DECLARED, loaded, problems

OUTCOME = {"regression": {"column": "kg"}}
EVERY = 7
LONGEST = DECLARED["windows"]["train"] + DECLARED["windows"]["evaluate"]  # type: ignore[index]


def test_without_the_section_nothing_is_waited_for_and_each_key_has_a_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, outcome=OUTCOME).freshness is None
    declared = loaded(tmp_path, outcome=OUTCOME, freshness={}).freshness
    assert declared is not None
    assert (declared.wait_hours, declared.late, declared.rows, declared.groups) == (12, "fail", 0.5, 0.5)
    assert (declared.stale_after, declared.look_every_minutes) == (None, 1)


@pytest.mark.parametrize(
    ("section", "where", "problem"),
    [
        ({"rows": 50}, "rows", "50 is too large: 1.0 at most"),
        ({"groups": 1.01}, "groups", "1.01 is too large: 1.0 at most"),
        ({"rows": -0.1}, "rows", "-0.1 is too small: 0.0 at least"),
        ({"wait_hours": -1}, "wait_hours", "-1 is too small: 0.0 at least"),
        ({"wait_hours": 0, "late": "go_on"}, "wait_hours", "0 does not go with 'late: go_on': nothing would be waited"),
        ({"look_every_minutes": 0}, "look_every_minutes", "0 is too small: 0.1 at least"),
        (
            {"look_every_minutes": 90, "wait_hours": 1},
            "look_every_minutes",
            "90 is too large: the wait is over after 1 hours, before the second look",
        ),
        ({"late": "wait"}, "late", "'wait' is none of 'fail', 'go_on' or 'skip'"),
        ({"stale_after": 6}, "stale_after", "6 is too small: a slice has 7 days"),
        ({"stale_after": LONGEST}, "stale_after", f"{LONGEST} is too large: training looks back {LONGEST} days"),
        ({"stale": 6}, "stale", "is no key of this section; did you mean 'stale_after'?"),
    ],
)
def test_a_limit_that_can_never_hold_is_refused_with_what_to_write(
    tmp_path: Path, section: dict[str, Any], where: str, problem: str
) -> None:
    ((path, told),) = problems(tmp_path, outcome=OUTCOME, freshness=section).items()
    assert path == f"freshness.{where}"
    assert problem in told


@pytest.mark.parametrize(
    "section",
    [
        {"wait_hours": 0},
        {"wait_hours": 0.001},
        {"look_every_minutes": 60, "wait_hours": 1},
        {"stale_after": EVERY},
        {"stale_after": LONGEST - 1},
    ],
)
def test_what_just_holds_is_taken(tmp_path: Path, section: dict[str, Any]) -> None:
    assert loaded(tmp_path, outcome=OUTCOME, freshness=section).freshness is not None
