"""Which groups of a partition are trained again, alone: those that failed, were stale, or had no rows at the time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.errors import MusterError, WrongArgument, bounded
from muster.evaluation.candidates import judged_runs
from muster.freshness.stale import stale_groups
from muster.storage.attempts import WHOLE, PartitionRuns, latest, partition_ledger, runs_of
from muster.training.expected_groups import expected_groups
from muster.training.outcome import STALE

RETRY, RETRY_FAILED = "retry", "failed"
"""The option of `train`, and its value where no group is named: all that are due. Else JSON of an array of names."""

WHY = "why"
"""The option that says what was mended."""

LATE = "it has rows now, and had none when the partition was trained"
NOT_JUDGED = "the retry that trained it was not judged: it is finished first"


class NothingToRetry(MusterError):
    """Raised where a partition was not trained as a whole yet: there is nothing to be tried again."""

    def __init__(self, workload: str, partition: str) -> None:
        super().__init__(f"{workload} {partition} was not trained yet: a retry follows a training; run train first")


class NotToRetry(WrongArgument):
    """Raised for groups that somebody names and that are not to be trained again by themselves."""

    def __init__(self, workload: str, partition: str, problems: Mapping[str, str]) -> None:
        named = bounded((f"'{group}' {why}" for group, why in sorted(problems.items())), shown=5)
        super().__init__(
            f"{workload} {partition}: only groups that failed, were stale or came late are trained by a retry: {named}"
        )


class TrainedMeanwhile(MusterError):
    """Raised when the partition was trained as a whole while some of its groups were retried; nothing is written."""

    retryable = True

    def __init__(self, workload: str, partition: str) -> None:
        super().__init__(
            f"{workload} {partition} was trained as a whole meanwhile; nothing was written: what failed then is retried"
        )


class Due(NamedTuple):
    """A group that is to be trained again, and why."""

    group: str
    state: str
    """`failed` or `skipped` as the ledger says; `late`: it has no row of it; `trained`, by a retry not judged yet."""
    reason: str | None
    error_class: str | None
    attempts: int
    """Of it so far."""


@dataclass(frozen=True)
class Attempts:
    """What is known of a partition's groups before a retry."""

    ledger: pa.Table
    """All its rows, of every run."""
    present: Collection[str]
    """The groups that have rows of the run's days now."""
    stale: Mapping[str, date]
    """Those that are stale now, with the day of their last row."""
    judged: Collection[str]
    """The runs that have decisions."""

    @cached_property
    def runs(self) -> PartitionRuns:
        """The partition's runs."""
        return runs_of(self.ledger)

    @cached_property
    def last(self) -> dict[str, dict[str, Any]]:
        """Each group's row of its latest attempt."""
        return {row["group"]: row for row in latest(self.ledger, self.ledger).to_pylist()}

    @cached_property
    def due(self) -> dict[str, Due]:
        """The groups to retry, by name: what is there to be learnt from, and has no model that was judged or may be.

        What a retry has trained that was not judged belongs to the next one: with the same data and code it is the
        same run, so one that was broken off anywhere is finished by trying again.
        """
        attempts = Counter(self.ledger["group"].to_pylist())
        unfinished = set(self.runs.retries) - set(self.judged)
        due = {}
        for group in sorted(set(self.present) - self.stale.keys()):
            row = self.last.get(group)
            if row is None:
                due[group] = Due(group, "late", LATE, None, 0)
            elif row["state"] == "failed" or _was_stale(row):
                due[group] = Due(group, row["state"], row["reason"], row["error_class"], attempts[group])
            elif row["run"] in unfinished:
                due[group] = Due(group, row["state"], NOT_JUDGED, None, attempts[group])
        return due

    def next_attempt(self, run: str) -> int:
        """Return the number of a run's attempt: a retry that is repeated takes the place of its earlier rows."""
        others = self.ledger.filter(pc.field("run") != run)["attempt"]
        return WHOLE + 1 if not len(others) else int(pc.max(others).as_py()) + 1

    def why_not(self, group: str) -> str:
        """Return why a group that is not due is not to be retried."""
        row = self.last.get(group)
        if group not in self.present:
            known = "its rows are gone" if row else "is no group of it: no row of its windows' days has it"
            return f"{known}: run ingest and features first"
        if group in self.stale:
            return f"is stale still: no observation since {self.stale[group]}"
        if row is not None and row["state"] == "trained":
            return "was trained: clear train to train the whole partition again"
        return f"was skipped ({(row or {}).get('reason')}): it is trained with the next partition that has enough"


def _was_stale(row: Mapping[str, Any]) -> bool:
    return row["state"] == "skipped" and str(row["reason"]).startswith(f"{STALE}: ")


def find_attempts(context: PartitionContext) -> Attempts:
    """Read what is known of a partition's groups now.

    Raises:
        NothingToRetry: when the partition was not trained as a whole.
    """
    features = context.store.open("features")
    return read_attempts(context, None if features is None else features.version())


def check_asked(context: PartitionContext, attempts: Attempts, asked: Iterable[str]) -> None:
    """Check that named groups are due, or may be those of an earlier retry once more: training knows that run's name.

    Raises:
        NotToRetry: when one is neither.
    """
    retried = {group for group, row in attempts.last.items() if row["run"] in attempts.runs.retries}
    problems = {group: attempts.why_not(group) for group in set(asked) - attempts.due.keys() - retried}
    if problems:
        raise NotToRetry(context.workload.name, context.partition, problems)


def read_attempts(context: PartitionContext, features: int | None) -> Attempts:
    """Read what is known of a partition's groups, by the rows of a version of `features`.

    Raises:
        NothingToRetry: when the partition was not trained as a whole.
    """
    ledger = partition_ledger(context.store, context.partition)
    if runs_of(ledger).whole is None:
        raise NothingToRetry(context.workload.name, context.partition)
    present = set() if features is None else set(expected_groups(context.store, features, context.windows).rows)
    return Attempts(ledger, present, stale_groups(context), judged_runs(context.store, [context.partition]))


def asked_groups(text: str) -> list[str] | None:
    """Return the groups that the option `retry` names; None where it is about all that are due.

    Raises:
        WrongArgument: when it is neither `failed` nor JSON of an array of names.
    """
    if text == RETRY_FAILED:
        return None
    try:
        named = json.loads(text)
    except ValueError:
        named = None
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise WrongArgument(f"'{text[:80]}' names no groups: write '{RETRY_FAILED}', or a JSON array of their names")
    return named or None


def chosen_groups(
    context: PartitionContext, attempts: Attempts, asked: Iterable[str] | None, name: Callable[[Collection[str]], str]
) -> frozenset[str]:
    """Return the groups of the retry: those that are due, or the named ones.

    `name` gives the run of some groups: the very groups of an earlier retry, on the same data, are that retry once
    more, whatever became of them.

    Raises:
        NotToRetry: when a named group is not due, or not a group at all.
    """
    due = attempts.due
    if asked is None:
        return frozenset(due)
    chosen = frozenset(asked)
    others = chosen - due.keys()
    repeated = name(chosen) if others else None
    problems = {
        group: attempts.why_not(group) for group in others if attempts.last.get(group, {}).get("run") != repeated
    }
    if problems:
        raise NotToRetry(context.workload.name, context.partition, problems)
    return chosen


def check_same_training(context: PartitionContext, attempts: Attempts) -> None:
    """Check that no whole training has taken the place of what is retried.

    Raises:
        TrainedMeanwhile: when one has.
    """
    rows = partition_ledger(context.store, context.partition)
    if runs_of(rows).whole != attempts.runs.whole:
        raise TrainedMeanwhile(context.workload.name, context.partition)
