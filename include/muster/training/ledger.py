"""Every group that entered a run ends in exactly one state, or the run fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded

STATES = ("trained", "skipped", "failed")
"""The states in which a group's training ends."""

REASONS_SHOWN = 20
"""How many different reasons a result names before it counts the rest together."""


class NotReconciled(MusterError):
    """Raised when the ledger is not exactly the groups that entered, once each, each in a terminal state."""

    def __init__(self, run: str, entered: int, rows: int, wrong: Mapping[str, Iterable[str]]) -> None:
        told = "; ".join(f"{what}: {bounded(names)}" for what, names in wrong.items() if names)
        super().__init__(
            f"run {run}: {entered} groups entered, the ledger has {rows} rows: {told}; nothing was written"
        )


class TooManyFailed(MusterError):
    """Raised when a larger share of the groups failed than the workload allows."""

    def __init__(self, run: str, failed: int, entered: int, allowed: float, reasons: Mapping[str, int]) -> None:
        most = bounded((f"{reason} ({count})" for reason, count in reasons.items()), shown=5)
        super().__init__(
            f"run {run}: {failed} of {entered} groups failed, more than the share {allowed:g} that 'max_failed' "
            f"allows: {most}; the ledger has every group's reason"
        )


def counts(ledger: pa.Table) -> dict[str, int]:
    """Return how many groups ended in each state."""
    found = Counter(ledger["state"].to_pylist())
    return {state: found[state] for state in STATES}


def reasons(ledger: pa.Table) -> dict[str, int]:
    """Return how many groups were not trained, or not by every algorithm, by reason, the commonest first.

    A reason is its text, or the class of an error where the group failed: an error's text may be another for every
    group.
    """
    causes = pc.coalesce(ledger["error_class"], ledger["reason"]).drop_null()
    found = Counter(causes.to_pylist())
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[REASONS_SHOWN:])
    return {**dict(ordered[:REASONS_SHOWN]), **({"(other)": rest} if rest else {})}


def reconcile(run: str, entered: Iterable[str], ledger: pa.Table) -> None:
    """Check the ledger against the groups that entered, found by another way than the training took.

    Raises:
        NotReconciled: with the names that are missing, stand twice, never entered or have no terminal state.
    """
    expected = set(entered)
    rows = Counter(ledger["group"].to_pylist())
    unfinished = ledger.filter(pc.invert(pc.is_in(ledger["state"], pa.array(STATES))))["group"]
    wrong = {
        "missing": sorted(expected - rows.keys()),
        "twice": sorted(group for group, count in rows.items() if count > 1),
        "never entered": sorted(rows.keys() - expected),
        "without a terminal state": sorted(unfinished.to_pylist()),
    }
    if any(wrong.values()):
        raise NotReconciled(run, len(expected), ledger.num_rows, wrong)


def check_failed(run: str, ledger: pa.Table, allowed: float) -> None:
    """Check the share of groups that failed.

    Raises:
        TooManyFailed: when it is above `allowed`.
    """
    failed = ledger.filter(pc.equal(ledger["state"], "failed"))
    if failed.num_rows > allowed * ledger.num_rows:
        raise TooManyFailed(run, failed.num_rows, ledger.num_rows, allowed, reasons(failed))
