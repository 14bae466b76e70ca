"""Which groups are due for a retry, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from muster.errors import WrongArgument
from muster.storage.tables import LEDGER
from muster.training.retry import LATE, NOT_JUDGED, Attempts, NotToRetry, asked_groups, chosen_groups

CONTEXT: Any = SimpleNamespace(workload=SimpleNamespace(name="made"), partition="2024-02-05")
TRAINED = ("trained", None)
FAILED = ("failed", "no such rate")
WAS_STALE = ("skipped", "stale: no observation since 2024-01-01")


def attempts(
    *rows: tuple[str, int, tuple[str, str | None]],
    present: Collection[str] = "abcd",
    stale: Collection[str] = (),
    judged: Collection[str] = (),
) -> Attempts:
    """Return what is known, of rows of group, attempt, state and reason; the run is called by its attempt."""
    named = [
        {"group": group, "run": f"r{attempt}", "attempt": attempt, "state": end[0], "reason": end[1]}
        for group, attempt, end in rows
    ]
    ledger = pa.Table.from_pylist([{name: row.get(name) for name in LEDGER.names} for row in named], LEDGER)
    return Attempts(ledger, set(present), dict.fromkeys(stale, date(2024, 1, 1)), judged)


def chosen(known: Attempts, asked: Any = None) -> Any:
    return chosen_groups(CONTEXT, known, asked, lambda names: "r2" if set(names) == {"a", "b"} else "another")


def test_what_failed_was_stale_or_came_late_is_due() -> None:
    known = attempts(("a", 1, TRAINED), ("b", 1, FAILED), ("c", 1, WAS_STALE), judged=["r1"])
    told = [(due.group, due.state, due.reason, due.attempts) for due in known.due.values()]
    assert told == [("b", *FAILED, 1), ("c", *WAS_STALE, 1), ("d", "late", LATE, 0)]


def test_the_latest_attempt_decides() -> None:
    rows = ("b", 1, FAILED), ("b", 2, FAILED), ("c", 1, FAILED), ("c", 2, TRAINED)
    known = attempts(("a", 1, TRAINED), *rows, present="abc", judged=["r1", "r2"])
    assert {group: due.attempts for group, due in known.due.items()} == {"b": 2}


def test_few_rows_are_no_reason_and_nor_is_what_is_stale_still_or_has_no_rows_any_more() -> None:
    few = ("skipped", "too few labelled rows")
    known = attempts(("a", 1, few), ("b", 1, WAS_STALE), ("c", 1, FAILED), present="ab", stale="b")
    assert known.due == {}
    assert known.why_not("a").startswith("was skipped (too few labelled rows)")
    assert known.why_not("b") == "is stale still: no observation since 2024-01-01"
    assert known.why_not("c").startswith("its rows are gone")
    assert known.why_not("z").startswith("is no group of it")


def test_what_a_retry_has_trained_is_due_until_it_was_judged() -> None:
    rows = ("a", 1, TRAINED), ("b", 1, FAILED), ("b", 2, TRAINED)
    assert attempts(*rows, present="ab", judged=["r1"]).due["b"].reason == NOT_JUDGED
    assert attempts(*rows, present="ab", judged=["r1", "r2"]).due == {}


def test_without_names_all_that_are_due_are_chosen() -> None:
    assert chosen(attempts(("a", 1, TRAINED), ("b", 1, FAILED), present="abc")) == {"b", "c"}


def test_named_groups_must_be_due_or_the_very_groups_of_a_retry_once_more() -> None:
    rows = ("a", 1, FAILED), ("b", 1, FAILED), ("a", 2, TRAINED), ("b", 2, FAILED), ("c", 1, TRAINED)
    known = attempts(*rows, judged=["r1", "r2"])
    assert chosen(known, ["b"]) == {"b"}
    assert chosen(known, ["a", "b"]) == {"a", "b"}
    with pytest.raises(NotToRetry, match="'a' was trained: clear train"):
        chosen(known, ["a"])
    with pytest.raises(NotToRetry, match="'c' was trained"):
        chosen(known, ["b", "c"])


def test_a_repeated_retry_takes_the_place_of_its_own_rows_and_comes_after_all_others() -> None:
    known = attempts(("a", 1, FAILED), ("a", 2, FAILED), ("a", 3, FAILED))
    assert [known.next_attempt(run) for run in ("r2", "r3", "r4")] == [4, 3, 4]


@pytest.mark.parametrize("text", ["a", '{"a": 1}', "[1]", '"failed"'])
def test_the_option_names_failed_or_an_array_of_names(text: str) -> None:
    with pytest.raises(WrongArgument, match="names no groups"):
        asked_groups(text)
    assert asked_groups("failed") is asked_groups("[]") is None
    assert asked_groups('["a"]') == ["a"]
