"""False promotions: what the gate promotes among 10,000 groups, with and without its control over all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from benchmarks.figures import Figure
from muster.evaluation.significance import control
from muster.evaluation.verdict import Judgement, judge
from muster.settings import Settings
from muster.storage.tables import DECISIONS
from muster.workload.spec import Gate

GROUPS = 10_000
ROWS, POSITIVES, AUC = (20, 2_000), (0.05, 0.40), (0.58, 0.75)
"""Evaluation rows (log-uniform), their share of positives, and the champion's AUC: the flight workload's extremes."""
SHARED = 0.8
"""Share of the scores' noise that all models of a group have in common: they learnt from nearly the same rows."""
BETTER = 0.2
"""Share of the groups whose candidates are truly better, where a gain is simulated."""
SEED = 20130812


@dataclass(frozen=True)
class Simulated:
    """The gate's verdicts on simulated groups, arrays of (groups,) bool: judged, truly better, promoted."""

    judged: np.ndarray
    better: np.ndarray
    plain: np.ndarray
    """By the win rate alone."""
    controlled: np.ndarray

    def false_share(self, promoted: np.ndarray) -> float:
        """Return the share of the promoted that is no better than its champion; 0 where none is promoted."""
        return float((promoted & ~self.better).sum() / max(promoted.sum(), 1))

    def power(self, promoted: np.ndarray) -> float:
        """Return the share of the judged and truly better groups that is promoted."""
        return float((promoted & self.better).sum() / max((self.judged & self.better).sum(), 1))


def simulate(groups: int, algorithms: int, gain: float, gate: Gate, seed: int = SEED) -> Simulated:
    """Judge groups of which a share of `BETTER` has candidates better than their champion by `gain`, the rest equal."""
    simulated = partial(simulated_group, algorithms=algorithms, gain=gain, gate=gate, seed=seed)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        judgements = list(pool.map(simulated, range(groups), chunksize=max(1, groups // 100)))
    fields = ("verdict", "against", "p_value")
    rows = [
        {name: getattr(judgement, name) if name in fields else None for name in DECISIONS.names}
        for judgement in judgements
    ]
    decisions = control(pa.Table.from_pylist(rows, schema=DECISIONS), gate.false_promotions)
    return Simulated(
        judged=np.array([judgement.verdict != "hold" for judgement in judgements]),
        better=np.array([is_better(number) and gain > 0 for number in range(groups)]),
        plain=np.array([judgement.verdict == "promote" for judgement in judgements]),
        controlled=np.array(decisions["verdict"].to_pylist()) == "promote",
    )


def is_better(number: int) -> bool:
    """Return whether a group is one of those with a true gain."""
    return number % round(1 / BETTER) == 0


def simulated_group(number: int, algorithms: int, gain: float, gate: Gate, seed: int) -> Judgement:
    """Judge one group: normal scores of two classes, shifted so that each model's AUC in the population is as drawn."""
    random = np.random.default_rng([seed, number])
    rows = int(np.exp(random.uniform(*np.log(ROWS))))
    labels = random.random(rows) < random.uniform(*POSITIVES)
    auc, shared = random.uniform(*AUC), random.normal(size=rows)

    def scores(auc: float) -> np.ndarray:
        own = random.normal(size=rows)
        return np.sqrt(2) * ndtri(auc) * labels + np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own

    champion = scores(auc)
    candidates = {str(name): scores(auc + gain * is_better(number)) for name in range(algorithms)}
    return judge(labels, candidates, champion, "champion", gate, seed=number)


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure false promotions where nothing is better, then those and the power where a fifth of the groups is."""
    groups, gate = 100 if quick else GROUPS, Gate(resamples=100 if quick else 200)
    return [
        figure
        for algorithms in (1, 3)
        for gain in (0.0, 0.02, 0.05)
        for figure in _figures(simulate(groups, algorithms, gain, gate), algorithms, gain, gate)
    ]


def _figures(simulated: Simulated, algorithms: int, gain: float, gate: Gate) -> Iterator[Figure]:
    sys.stderr.write(f"{algorithms} algorithms, gain {gain}\n")
    which = f"{algorithms} algorithm{'s' * (algorithms > 1)}"
    size = f"{len(simulated.judged):,} groups, {simulated.judged.sum():,} judged, {gate.resamples} resamples"
    if gain == 0:
        detail = f"{size}; the win rate alone promotes {simulated.plain.sum():,}"
        yield Figure(
            f"promoted where none is better, {which}",
            float(simulated.controlled.sum() / simulated.judged.sum()),
            "share",
            at_most=gate.false_promotions,
            detail=f"{simulated.controlled.sum():,} of {detail}",
        )
        return
    both = {"controlled": simulated.controlled, "win rate alone": simulated.plain}
    counts = "; ".join(f"{name}: {promoted.sum():,} promoted" for name, promoted in both.items())
    case = f"{BETTER:.0%} better by {gain}, {which}"
    for name, promoted in both.items():
        limit = gate.false_promotions if name == "controlled" else None
        detail = f"{size}; {counts}"
        yield Figure(
            f"false among the promoted, {case}, {name}", simulated.false_share(promoted), "share", limit, None, detail
        )
        yield Figure(f"better ones promoted, {case}, {name}", simulated.power(promoted), "share", detail=detail)
