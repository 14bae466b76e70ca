"""How a group ended, from how its algorithms did."""

from __future__ import annotations

import pytest

from muster.errors import MAX_REASON_LENGTH, reason_of
from muster.training.outcome import Fit, Known, group_outcome


def trained(name: str, note: str | None = None) -> Fit:
    return Fit(name, "trained", note, None, 0.5, None, b"model")


def skipped(name: str, why: str = "one class only") -> Fit:
    return Fit(name, "skipped", why, None, 0.0, None, b"")


def failed(name: str, error: str = "ValueError", why: str = "no") -> Fit:
    return Fit(name, "failed", why, error, 0.25, None, b"")


@pytest.mark.parametrize(
    ("fits", "state", "reason", "error_class"),
    [
        ([trained("a")], "trained", None, None),
        ([trained("a"), trained("b")], "trained", None, None),
        ([skipped("a")], "skipped", "one class only", None),
        ([skipped("a"), skipped("b")], "skipped", "one class only", None),
        ([skipped("a"), skipped("b", "x")], "skipped", "a skipped: one class only; b skipped: x", None),
        ([failed("a")], "failed", "no", "ValueError"),
        ([failed("a"), failed("b")], "failed", "no", "ValueError"),
        ([failed("a"), failed("b", "E", "x")], "failed", "a failed: ValueError: no; b failed: E: x", "ValueError"),
        ([skipped("a"), failed("b", "E", "x")], "failed", "a skipped: one class only; b failed: E: x", "E"),
        ([failed("a"), trained("b")], "trained", "a failed: ValueError", None),
        ([skipped("a"), trained("b"), failed("c")], "trained", "a skipped: one class only; c failed: ValueError", None),
        ([trained("a", "not searched: x")], "trained", "not searched: x", None),
        ([trained("a", "not searched: x"), trained("b")], "trained", "a not searched: x", None),
    ],
)
def test_a_group_is_in_one_state_with_what_its_algorithms_did(
    fits: list[Fit], state: str, reason: str | None, error_class: str | None
) -> None:
    outcome = group_outcome(fits, Known(60, 30, 0.5, None))
    assert (outcome.state, outcome.reason, outcome.error_class) == (state, reason, error_class)
    assert (outcome.rows, outcome.positives, outcome.seconds) == (60, 30, sum(fit.seconds for fit in fits))


def test_the_reason_of_many_algorithms_is_bounded() -> None:
    outcome = group_outcome(
        [failed(f"a{number}", why="x" * 100) for number in range(9)] + [skipped("b")], Known(1, 0, 0.0, None)
    )
    assert len(str(outcome.reason)) == MAX_REASON_LENGTH


def test_a_reason_is_one_bounded_line_of_valid_text() -> None:
    reason = reason_of(ValueError("first\nsecond \ud800 " + "x" * 10_000))
    assert reason.startswith("first second ? xxx")
    assert len(reason) == MAX_REASON_LENGTH
    reason.encode()


def test_an_error_that_cannot_tell_itself_still_has_a_reason() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert reason_of(Mute()) == "(no message: it raises as well)"
