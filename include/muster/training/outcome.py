"""The outcome of each algorithm's fit of a group, and of the group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from muster.errors import bounded_line

State = Literal["trained", "skipped", "failed"]

STALE = "stale"
"""Why a group without a new row for too long is skipped; its ledger row adds since when, another day for each."""


class Fit(NamedTuple):
    """The outcome of one algorithm's fit of a group."""

    algorithm: str
    state: State
    reason: str | None
    """Why there is no model; of a trained one, why its parameters were not searched."""
    error_class: str | None
    seconds: float
    params: str | None
    """JSON of the parameters that its search chose; null without a search."""
    model: bytes
    """As stored in a shard; empty unless trained."""
    learnt: int = 0
    """Rows that the model learnt from: of an outlier detector those without a label too."""
    probabilities: bool | None = None
    """Whether the model's scores are probabilities; None without a model."""


class Outcome(NamedTuple):
    """The outcome of a group: one state, whatever the number of algorithms."""

    state: State
    reason: str | None
    error_class: str | None
    rows: int
    """Labelled rows."""
    learnt: int
    """Rows that its models learnt from, at most by one of them."""
    positives: int | None
    prior: float | None
    target: str | None
    """JSON of what else is known of the labels, see `outcomes.kind`."""
    seconds: float
    fits: tuple[Fit, ...]


class Known(NamedTuple):
    """What is known of a group's labels."""

    rows: int
    positives: int | None
    prior: float | None
    target: str | None


def group_outcome(fits: Sequence[Fit], known: Known) -> Outcome:
    """Return the outcome of a group from those of its algorithms.

    It is trained when any of its algorithms is, failed when none is and one failed, else skipped. Where they do not
    all have one outcome, the reason names each that is not simply trained. Only a failed group has an error class: that
    of the first algorithm that failed.
    """
    states = {fit.state for fit in fits}
    state: State = "trained" if "trained" in states else "failed" if "failed" in states else "skipped"
    shared = len({(fit.state, fit.reason, fit.error_class) for fit in fits}) == 1
    reason = fits[0].reason if shared else "; ".join(_fit_reason(fit, state) for fit in fits if fit.reason)
    error_class = next((fit.error_class for fit in fits if fit.error_class), None) if state == "failed" else None
    seconds = sum(fit.seconds for fit in fits)
    shown = bounded_line(reason) if reason else None
    learnt = max((fit.learnt for fit in fits), default=0)
    counts = (known.rows, learnt, known.positives, known.prior, known.target)
    return Outcome(state, shown, error_class, *counts, seconds, tuple(fits))


def _fit_reason(fit: Fit, group: State) -> str:
    """Return an algorithm's part of a group's reason; of a trained group, a text that can be counted."""
    if fit.state == "trained":
        return f"{fit.algorithm} {fit.reason}"
    if fit.state == "skipped":
        return f"{fit.algorithm} skipped: {fit.reason}"
    message = "" if group == "trained" else f": {fit.reason}"
    return f"{fit.algorithm} failed: {fit.error_class}{message}"
