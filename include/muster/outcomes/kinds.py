"""The kind of a workload's outcome: a new one is one more line here, and in `workload.outcome`."""

from __future__ import annotations

from muster.outcomes.binary import BinaryKind
from muster.outcomes.classes import ClassesKind
from muster.outcomes.kind import Kind
from muster.outcomes.regression import RegressionKind
from muster.outcomes.unlabelled import UnlabelledKind
from muster.workload.outcome import Outcome


def kind_of(outcome: Outcome) -> Kind:
    """Return what the kind of an outcome does and needs."""
    if outcome.regression is not None:
        return RegressionKind(outcome.regression, outcome.scale)
    if outcome.none is not None:
        return UnlabelledKind(outcome.none, outcome.scale)
    if outcome.classes is not None:
        return ClassesKind(outcome.classes, outcome.scale)
    assert outcome.binary is not None  # noqa: S101 - for the type: there is exactly one
    return BinaryKind(outcome.binary, outcome.scale)
