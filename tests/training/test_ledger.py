"""The ledger: everything that entered, once, in a terminal state."""

from __future__ import annotations

import pyarrow as pa
import pytest

from muster.training.ledger import (
    MAX_REASONS,
    LedgerNotReconciled,
    TooManyFailed,
    check_failed,
    counts,
    reasons,
    reconcile,
)

Row = tuple[str, str | None, str | None, str | None]
"""Group, state, reason, error class."""


def ledger(*rows: Row) -> pa.Table:
    names = ["group", "state", "reason", "error_class"]
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


A, B = ("a", "trained", None, None), ("b", "skipped", "one class only", None)
C, D = ("c", "failed", "text of c", "ValueError"), ("d", "failed", "text of d", "ValueError")


def test_every_group_once_reconciles() -> None:
    reconcile("r", ["c", "a", "b"], ledger(A, B, C))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([A, C], "missing: b;"),
        ([A, B, C, A], "twice: a;"),
        ([A, B, C, D], "not expected: d;"),
        ([A, B, ("c", "running", None, None)], "without a terminal state: c;"),
        ([A, B, ("c", None, None, None)], "without a terminal state: c;"),
        ([], "missing: a, b, c;"),
    ],
)
def test_what_does_not_reconcile_is_named(rows: list[Row], problem: str) -> None:
    with pytest.raises(LedgerNotReconciled) as error:
        reconcile("r", ["a", "b", "c"], ledger(*rows))
    assert problem in str(error.value)


def test_thousands_of_missing_groups_are_counted_not_listed() -> None:
    with pytest.raises(LedgerNotReconciled) as error:
        reconcile("r", [f"g{number}" for number in range(5000)], ledger())
    assert "and 4990 more" in str(error.value)


def test_as_many_failed_as_allowed_pass() -> None:
    check_failed("r", ledger(A, B, C, D), allowed=0.5)


def test_more_failed_than_allowed_fail_the_run_with_their_reasons() -> None:
    with pytest.raises(TooManyFailed, match=r"2 of 4 groups failed.*0\.49.*ValueError \(2\)"):
        check_failed("r", ledger(A, B, C, D), allowed=0.49)


def test_skipped_groups_are_not_failed_ones() -> None:
    check_failed("r", ledger(B), allowed=0.0)


def test_states_are_counted_those_without_a_group_too() -> None:
    assert counts(ledger(A, C, D)) == {"trained": 1, "skipped": 0, "failed": 2}


def test_reasons_are_counted_by_skip_and_error_class_the_commonest_first() -> None:
    assert list(reasons(ledger(A, B, C, D)).items()) == [("ValueError", 2), ("one class only", 1)]


def test_stale_groups_are_one_reason_whatever_their_last_days() -> None:
    stale = [
        (f"g{n}", "skipped", f"stale: no observation since 2024-01-{n:02}", None) for n in range(1, MAX_REASONS + 5)
    ]
    assert reasons(ledger(B, *stale)) == {"stale": MAX_REASONS + 4, "one class only": 1}


def test_many_different_reasons_are_bounded() -> None:
    rows = [(f"g{number}", "failed", "text", f"Error{number:03d}") for number in range(100)]
    counts = reasons(ledger(*rows))
    assert len(counts) == MAX_REASONS + 1
    assert counts["(other)"] == 100 - MAX_REASONS
