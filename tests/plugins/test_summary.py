"""The table at the end of a task's log."""

from __future__ import annotations

from muster_airflow.summary import summary

TRAINED = {
    "groups": 10_439,
    "failed": 3,
    "score_after": 0.71234,
    "champion_version": None,
    "moved": True,
    "reasons": {"too few rows": 2, "one class": 36},
    "fallback": {},
}
LINES = [" ".join(line.split()) for line in summary("train", "flights", "2013-06-03", TRAINED).splitlines()]


def test_says_what_ran_for_which_partition() -> None:
    assert LINES[0] == "flights.train partition 2013-06-03"


def test_counts_are_readable() -> None:
    assert {"groups 10,439", "failed 3", "score after 0.7123", "moved yes", "champion version -"} < set(LINES)


def test_reasons_stand_under_their_name_the_most_frequent_first() -> None:
    at = LINES.index("reasons")
    assert LINES[at + 1 : at + 3] == ["one class 36", "too few rows 2"]


def test_an_empty_list_of_reasons_is_left_out() -> None:
    assert not [line for line in LINES if line.startswith("fallback")]
