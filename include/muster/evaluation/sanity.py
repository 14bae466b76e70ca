"""What is asked of a model without labels beside its metric: a sane share of alerts, ranks like the champion's."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muster.evaluation.judgement import HeldOut, Rival
from muster.evaluation.metric import Labels
from muster.workload.spec import Gate

WITHOUT_LABELS = ", judged without labels"
"""Ends the reason of every verdict that no label had a part in."""
FEW_ALERTS, MANY_ALERTS = "alerts on fewer rows than gate.alerts", "alerts on more rows than gate.alerts"
OTHER_RANKS = "ranks the rows otherwise than the champion, below gate.agreement"


@dataclass(frozen=True)
class Sanity:
    """What is known of a model without labels."""

    alerts: float
    """The share of the rows that it alerts on."""
    agreement: float | None
    """The rank correlation (Spearman's rho) of its scores with the champion's; None without one, or of equal scores."""
    report: str | None
    """JSON of how many rows have a label, how many are positive, alerts, and both: it decides nothing."""

    def problem(self, gate: Gate) -> str | None:
        """Return what `gate` declares and this model does not hold, or None."""
        low, high = gate.alerts or (0.0, 1.0)
        if not low <= self.alerts <= high:
            return FEW_ALERTS if self.alerts < low else MANY_ALERTS
        apart = gate.agreement is not None and self.agreement is not None and self.agreement < gate.agreement
        return OTHER_RANKS if apart else None


def sanity(rows: HeldOut, scores: NDArray[np.float64], rival: Rival) -> Sanity:
    """Return what is known of a model by its scores, (rows and points,), above 0 for an alert."""
    count = len(rows.labels)
    alerts = scores[:count] > 0
    agreement = _rank_correlation(scores[:count], rival.scores[:count]) if rival.name == "champion" else None
    return Sanity(float(alerts.mean()), agreement, _report(rows.labels, alerts))


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    ranks = pd.DataFrame({"first": first, "second": second}).rank()
    spread = ranks.std()
    return float(ranks["first"].corr(ranks["second"])) if spread.all() else None


def _report(labels: Labels, alerts: NDArray[np.bool_]) -> str | None:
    labelled = np.isfinite(labels)
    if not labelled.any():
        return None
    positive = labels == 1
    counts = {"labelled": labelled, "positives": positive, "alerts": alerts & labelled, "caught": alerts & positive}
    return json.dumps({name: int(np.count_nonzero(of)) for name, of in counts.items()})
