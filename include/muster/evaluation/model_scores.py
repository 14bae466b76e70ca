"""Scores of stored models, their bytes verified: of a group's candidates, and of its champion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muster.evaluation.gate_input import GateInput, Row
from muster.evaluation.metrics import Measure
from muster.evaluation.verdict import unusable_reason
from muster.models.loading import RefusedModel, decode, read_bytes
from muster.models.reader import gives_probabilities, scores

CORRUPT_CHAMPION = "the champion's bytes are missing or corrupt"
"""The reason with which `decisions.reconcile` refuses a whole run: what is in production must be put right first."""

log = logging.getLogger(__name__)


class ScoringFailed(Exception):
    """Raised when a model gave no scores; its message is the reason of the decision."""


def candidate_scores(
    root: Path, inputs: GateInput, allowed_imports: Sequence[str], measure: Measure
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each algorithm's model that has any that the metric can take."""
    by_algorithm: dict[str, NDArray[np.float64]] = {}
    failures: list[ScoringFailed] = []
    for algorithm, stored in sorted(inputs.candidates.items()):
        try:
            by_algorithm[algorithm] = stored_scores(
                "candidate", root, stored, inputs.rows.features, allowed_imports, measure
            )
        except ScoringFailed as failure:
            failures.append(failure)
    if not by_algorithm:
        raise failures[0] if failures else ScoringFailed("the candidate has no stored model")
    return by_algorithm


def stored_scores(
    role: str,
    folder: Path,
    stored: Row,
    features: NDArray[np.float64],
    allowed_imports: Sequence[str],
    measure: Measure,
) -> NDArray[np.float64]:
    """Return the scores of a stored model, its bytes verified before they are loaded.

    Raises:
        ScoringFailed: when it has none, or none that the metric can take.
    """
    group, shard = stored["group"], stored["shard"]
    try:
        data = read_bytes(folder / shard, stored["offset"], stored["length"])
        model = decode(data, stored["sha256"], group, shard, allowed_imports)
        values = scores(model, features)
        if values.shape != (len(features),):
            raise ValueError(f"{len(features)} rows gave scores of shape {values.shape}")
    except Exception as error:  # whatever a model's own code raises stays its own group's matter
        log.warning("group '%s': the %s could not score: %s: %s", group, role, type(error).__name__, error)
        if role == "champion" and isinstance(error, RefusedModel | OSError):
            raise ScoringFailed(CORRUPT_CHAMPION) from error
        raise ScoringFailed(f"the {role} could not score: {type(error).__name__}") from error
    if (problem := unusable_reason(values, measure, gives_probabilities(model))) is not None:
        raise ScoringFailed(f"the {role}'s {problem}")
    return values
