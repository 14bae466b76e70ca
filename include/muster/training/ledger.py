"""Every group of a run ends in exactly one state, or the run fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded
from muster.training.outcome import STALE

STATES = ("trained", "skipped", "failed")
"""The terminal states of a group's training."""

MAX_REASONS = 20
"""How many different reasons a result names before it counts the rest together."""


class LedgerNotReconciled(MusterError):
    """Raised when the ledger is not exactly the expected groups, once each, each in a terminal state."""

    def __init__(self, run: str, expected: int, rows: int, wrong: Mapping[str, Iterable[str]]) -> None:
        problems = "; ".join(f"{problem}: {bounded(names)}" for problem, names in wrong.items() if names)
        super().__init__(
            f"run {run}: {expected} groups were expected, the ledger has {rows} rows: {problems}; nothing was written"
        )


class TooManyFailed(MusterError):
    """Raised when a larger share of the groups failed than the workload allows."""

    def __init__(self, run: str, failed: int, expected: int, allowed: float, reasons: Mapping[str, int]) -> None:
        most = bounded((f"{reason} ({count})" for reason, count in reasons.items()), shown=5)
        super().__init__(
            f"run {run}: {failed} of {expected} groups failed, more than the share {allowed:g} that 'max_failed' "
            f"allows: {most}; the ledger has every group's reason"
        )


def counts(ledger: pa.Table) -> dict[str, int]:
    """Return how many groups are in each state."""
    states = Counter(ledger["state"].to_pylist())
    return {state: states[state] for state in STATES}


def reasons(ledger: pa.Table) -> dict[str, int]:
    """Return how many groups were not trained, or not by every algorithm, by reason, the commonest first.

    A reason is its text without what is another for every group: the class of an error where the group failed, and
    without its day that it is stale.
    """
    causes = pc.coalesce(ledger["error_class"], ledger["reason"]).drop_null()
    by_cause = Counter(STALE if cause.startswith(f"{STALE}: ") else cause for cause in causes.to_pylist())
    ordered = sorted(by_cause.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[MAX_REASONS:])
    return {**dict(ordered[:MAX_REASONS]), **({"(other)": rest} if rest else {})}


def reconcile(run: str, expected: Iterable[str], ledger: pa.Table) -> None:
    """Check the ledger against the expected groups, which were read by another way than the training reads.

    Raises:
        LedgerNotReconciled: with the names that are missing, there twice, not expected or in no terminal state.
    """
    groups = set(expected)
    rows = Counter(ledger["group"].to_pylist())
    unfinished = ledger.filter(pc.invert(pc.is_in(ledger["state"], pa.array(STATES))))["group"]
    wrong = {
        "missing": sorted(groups - rows.keys()),
        "twice": sorted(group for group, count in rows.items() if count > 1),
        "not expected": sorted(rows.keys() - groups),
        "without a terminal state": sorted(unfinished.to_pylist()),
    }
    if any(wrong.values()):
        raise LedgerNotReconciled(run, len(groups), ledger.num_rows, wrong)


def check_failed(run: str, ledger: pa.Table, allowed: float) -> None:
    """Check the share of groups that failed.

    Raises:
        TooManyFailed: when it is above `allowed`.
    """
    failed = ledger.filter(pc.equal(ledger["state"], "failed"))
    if failed.num_rows > allowed * ledger.num_rows:
        raise TooManyFailed(run, failed.num_rows, ledger.num_rows, allowed, reasons(failed))
