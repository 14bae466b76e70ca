"""Scores of stored models, their bytes verified: of a group's candidates, and of its champion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muster.errors import let_through
from muster.evaluation.gate_input import GateInput, Row
from muster.evaluation.metric import Measure
from muster.evaluation.verdict import unusable_reason
from muster.models.loading import CodeMissing, ForbiddenModel, RefusedModel, decode
from muster.models.scores import gives_probabilities, scores, width
from muster.models.stored import Place, StoredModels
from muster.storage.object_store import NotAvailable

CORRUPT_CHAMPION = "the champion's bytes are missing or corrupt"
CORRUPT_CANDIDATE = "the candidate's bytes are missing or corrupt"
NO_CODE_OF_CHAMPION = "the champion cannot be imported: "
"""The reasons with which `decisions.reconcile` refuses a whole run: what lies in the store must be put right first, or
the module that the last one ends with."""

log = logging.getLogger(__name__)


class ScoringFailed(Exception):
    """Raised when a model gave no scores; its message is the reason of the decision."""


class BytesMissing(ScoringFailed):
    """Raised when the stored bytes of a model are not there, or not those that were stored."""


def place_of(stored: Row) -> Place:
    """Return where the bytes of a row of `models`, or of a manifest, are."""
    return Place(stored["shard"], stored["offset"], stored["length"])


class Scorer(NamedTuple):
    """How models are asked, and what their scores are judged by."""

    measure: Measure
    scale: str


def candidate_scores(
    models: StoredModels, inputs: GateInput, allowed_imports: Sequence[str], scorer: Scorer
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each algorithm's model that has any that the metric can take.

    Raises:
        ScoringFailed: when none has.
        BytesMissing: when any model's bytes are not there: without it the choice would be another.
    """
    by_algorithm: dict[str, NDArray[np.float64]] = {}
    failures: list[ScoringFailed] = []
    for algorithm, stored in sorted(inputs.candidates.items()):
        try:
            by_algorithm[algorithm] = stored_scores(
                "candidate", models, stored, inputs.rows.features, allowed_imports, scorer
            )
        except BytesMissing:
            raise
        except ScoringFailed as failure:
            failures.append(failure)
    if not by_algorithm:
        raise failures[0] if failures else ScoringFailed("the candidate has no stored model")
    return by_algorithm


def stored_scores(
    role: str,
    models: StoredModels,
    stored: Row,
    features: NDArray[np.float64],
    allowed_imports: Sequence[str],
    scorer: Scorer,
) -> NDArray[np.float64]:
    """Return the scores of a stored model, its bytes verified before they are loaded.

    Raises:
        ScoringFailed: when it has none, or none that the metric can take.
        BytesMissing: when its bytes are not there, or others.
    """
    group = stored["group"]
    try:
        model = _loaded(role, models, stored, allowed_imports)
        values = scores(model, features, scorer.scale)
        if values.shape != (len(features), *width(scorer.scale)):
            raise ValueError(f"{len(features)} rows gave scores of shape {values.shape}")
    except (ScoringFailed, NotAvailable):
        raise
    except BaseException as error:  # whatever a model's own code raises stays its own group's matter
        let_through(error)
        log.warning("group '%s': the %s could not score: %s: %s", group, role, type(error).__name__, error)
        raise ScoringFailed(f"the {role} could not score: {type(error).__name__}") from error
    if (problem := unusable_reason(values, scorer.measure, gives_probabilities(model))) is not None:
        raise ScoringFailed(f"the {role}'s {problem}")
    return values


def _loaded(role: str, models: StoredModels, stored: Row, allowed_imports: Sequence[str]) -> Any:
    """Return a stored model; one that was promoted has to load, a candidate may name what no model may."""
    group, shard = stored["group"], stored["shard"]
    try:
        return decode(models.read(place_of(stored)), stored["sha256"], group, shard, allowed_imports)
    except NotAvailable:  # what the store does not give now says nothing of the model
        raise
    except (RefusedModel, OSError) as error:
        if role == "candidate" and isinstance(error, (CodeMissing, ForbiddenModel)):
            raise
        log.warning("group '%s': the %s cannot be loaded: %s", group, role, error)
        if isinstance(error, CodeMissing):
            raise ScoringFailed(f"{NO_CODE_OF_CHAMPION}{error.declaration}") from error
        raise BytesMissing(CORRUPT_CHAMPION if role == "champion" else CORRUPT_CANDIDATE) from error
