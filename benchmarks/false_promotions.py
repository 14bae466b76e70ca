"""False promotions: what the gate promotes that is no better, simulated and on the rows of the real workloads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtri, softmax

from benchmarks.figures import Figure
from benchmarks.rivals import decisions_of, rivals
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Rival
from muster.evaluation.significance import control
from muster.evaluation.verdict import judge
from muster.evaluation.volume import with_points
from muster.settings import Settings
from muster.workload.spec import Gate

GROUPS = 5_000
DAYS = 28
ROWS, POSITIVES, AUC = (20, 2_000), (0.05, 0.40), (0.58, 0.75)
"""Evaluation rows (log-uniform), their share of positives, and the champion's AUC: the flight workload's extremes."""
SHARED = 0.8
"""Share of the scores' noise that all models of a group have in common: they learnt from nearly the same rows."""
BETTER = 0.2
"""Share of the groups whose candidates are truly better, where a gain is simulated."""
SEED = 20130812
EFFECTS = {"no": 0.0, "moderate": 0.2, "strong": 0.6}
"""Share of a model's own noise that all rows of a day and class have in common."""


@dataclass(frozen=True)
class Case:
    """What is simulated: a metric, how much a day has in common, and by how much a fifth is better."""

    effect: str = "no"
    gain: float = 0.0
    """Of the AUC of yes and no; else the share by which a better candidate's own errors are smaller."""
    algorithms: int = 1
    metric: str = "roc_auc"
    worse: float = 0.0
    """By how much all other candidates are worse than the champion: what `not_worse` must not let through."""
    classes: int = 0
    """How many classes an outcome has that is one of several; else 0."""

    def __str__(self) -> str:
        """Say what it is, for a table."""
        of_classes = f" of {self.classes} classes" if self.classes else ""
        what = f"{self.effect} day effect, {self.metric}{of_classes}"
        gain = f", {BETTER:.0%} better by {self.gain}" if self.gain else ""
        worse = f", margin {self.worse}" if self.worse else ""
        return f"{what}{worse}{gain}, {self.algorithms} algorithm{'s' * (self.algorithms > 1)}"


CASES = (
    *(Case(effect, gain) for effect in EFFECTS for gain in (0.0, 0.05)),
    Case("no", 0.02),
    *(Case("no", gain, algorithms=3) for gain in (0.0, 0.05)),
    *(Case(effect, gain, metric="rmse") for effect in EFFECTS for gain in (0.0, 0.3)),
    *(Case(effect, gain, worse=0.02) for effect in EFFECTS for gain in (0.0, 0.05)),
    *(Case(effect, gain, metric="mae") for effect in ("no", "strong") for gain in (0.0, 0.3)),
    *(
        Case(effect, gain, metric=metric, classes=3)
        for metric in ("log_loss", "roc_auc")
        for effect in ("no", "strong")
        for gain in (0.0, 0.6)
    ),
    *(Case(effect, gain, metric="mass_volume") for effect in EFFECTS for gain in (0.0, 0.9)),
)


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


def simulate(groups: int, case: Case, gate: Gate, seed: int = SEED) -> Simulated:
    """Judge groups of which a share of `BETTER` has candidates better than their champion by the gain, the rest not."""
    gate = gate.model_copy(update={"metric": case.metric})
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = partial(simulated_group, case=case, gate=gate, seed=seed)
        judgements = list(pool.map(work, range(groups), chunksize=max(1, groups // 100)))
    decisions = control(decisions_of(judgements), gate.false_promotions)
    return Simulated(
        judged=np.array([judgement.verdict != "hold" for judgement in judgements]),
        better=np.array([is_better(number) and case.gain > 0 for number in range(groups)]),
        plain=np.array([judgement.verdict == "promote" for judgement in judgements]),
        controlled=np.array(decisions["verdict"].to_pylist()) == "promote",
    )


def is_better(number: int) -> bool:
    """Return whether a group is one of those with a true gain."""
    return number % round(1 / BETTER) == 0


def simulated_group(number: int, case: Case, gate: Gate, seed: int) -> Judgement:
    """Judge one group: rows over `DAYS` days, and normal scores, a part of whose noise is a day's."""
    random = np.random.default_rng([seed, number])
    rows = int(np.exp(random.uniform(*np.log(ROWS))))
    days = np.sort(random.integers(DAYS, size=rows))
    if case.metric == "mass_volume":
        return _without_labels(random, days, number, case, gate)
    if case.classes:
        return _of_classes(random, days, number, case, gate)
    classes = random.random(rows) < random.uniform(*POSITIVES)
    labels = random.normal(size=rows) if case.metric in ("rmse", "mae") else classes.astype(float)
    auc, shared = random.uniform(*AUC), random.normal(size=rows)
    gain = case.gain if is_better(number) and case.gain else -case.worse

    def scores(gain: float) -> np.ndarray:
        of_day = random.normal(size=(2, DAYS))[classes.astype(int), days]
        effect = EFFECTS[case.effect]
        own = np.sqrt(1 - effect) * random.normal(size=rows) + np.sqrt(effect) * of_day
        if case.metric in ("rmse", "mae"):
            return labels + 0.5 * (np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own * (1 - gain))
        return np.sqrt(2) * ndtri(auc + gain) * labels + np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own

    champion = Rival("champion", scores(0.0), float(labels.mean()), "not_worse" if case.worse else "better", case.worse)
    candidates = {str(name): scores(gain) for name in range(case.algorithms)}
    clusters = Clusters.rows(rows) if gate.resample == "row" else Clusters.equal(days)
    return judge(HeldOut(labels, clusters), candidates, champion, gate, seed=number)


def _without_labels(random: np.random.Generator, days: np.ndarray, number: int, case: Case, gate: Gate) -> Judgement:
    """Judge one group by volumes: rows around a middle, and scores that are the distance from it with a model's noise.

    All models of a group share a small part of the noise, and the rows of a day a part of a model's own.
    """
    rows, effect = len(days), EFFECTS[case.effect]
    asked = with_points(random.normal(size=(rows, 2)), number)
    shared, distance = random.normal(size=len(asked)), np.linalg.norm(asked, axis=1)
    gain = case.gain if is_better(number) else 0.0

    def scores(gain: float) -> np.ndarray:
        own = random.normal(size=len(asked))
        own[:rows] = np.sqrt(1 - effect) * own[:rows] + np.sqrt(effect) * random.normal(size=DAYS)[days]
        return distance + 1.5 * (np.sqrt(1 - SHARED) * shared + np.sqrt(SHARED) * own * (1 - gain))

    clusters = Clusters.rows(rows) if gate.resample == "row" else Clusters.equal(days)
    held_out = HeldOut(np.full(rows, np.nan), clusters, of_classes=False)
    return judge(held_out, {"0": scores(gain)}, Rival("champion", scores(0.0), 0.0), gate, seed=number)


def _of_classes(random: np.random.Generator, days: np.ndarray, number: int, case: Case, gate: Gate) -> Judgement:
    """Judge one group of several classes, the first the most frequent: scores are the truth with a model's noise."""
    rows, classes, effect = len(days), case.classes, EFFECTS[case.effect]
    shares = 1 / np.arange(1, classes + 1)
    shares /= shares.sum()
    labels, shared = random.choice(classes, size=rows, p=shares), random.normal(size=(rows, classes))
    gain = case.gain if is_better(number) else 0.0

    def scores(gain: float) -> np.ndarray:
        of_day = random.normal(size=(DAYS, classes))[days]
        own = np.sqrt(1 - effect) * random.normal(size=(rows, classes)) + np.sqrt(effect) * of_day
        noise = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own * (1 - gain)
        return softmax(np.log(shares) + np.eye(classes)[labels] + noise, axis=1)

    clusters = Clusters.rows(rows) if gate.resample == "row" else Clusters.equal(days)
    held_out = HeldOut(labels.astype(float), clusters, False, tuple(map(str, range(classes))))
    return judge(held_out, {"0": scores(gain)}, Rival("champion", scores(0.0), tuple(shares)), gate, seed=number)


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure false promotions where nothing is better, then those and the power where a fifth of the groups is."""
    groups, gate = (20, Gate(resamples=100)) if quick else (GROUPS, Gate(resamples=200))
    by_row = gate.model_copy(update={"resample": "row"})
    figures = []
    for case in CASES[:2] if quick else CASES:
        sys.stderr.write(f"{case}\n")
        figures += _figures(simulate(groups, case, gate), case, gate)
        if case.effect == "strong" and case.gain == case.worse == 0:
            figures += _figures(simulate(groups, case, by_row), case, by_row)
    return [*figures, *rivals(settings, quick)]


def _figures(simulated: Simulated, case: Case, gate: Gate) -> Iterator[Figure]:
    promoted, of_rows = simulated.controlled, gate.resample == "row"
    size = f"{len(simulated.judged):,} groups, {simulated.judged.sum():,} judged, {gate.resamples} resamples"
    detail = f"{promoted.sum():,} promoted of {size}; the win rate alone promotes {simulated.plain.sum():,}"
    which, limit = f"{case}{', rows drawn' if of_rows else ''}", None if of_rows else gate.false_promotions
    if case.gain == 0:
        share = float(promoted.sum() / simulated.judged.sum())
        yield Figure(f"promoted where none is better, {which}", share, "share", limit, None, detail)
        return
    yield Figure(f"false among the promoted, {which}", simulated.false_share(promoted), "share", limit, None, detail)
    by_win_rate = f"by the win rate alone {simulated.power(simulated.plain):.2f}"
    yield Figure(f"better ones promoted, {which}", simulated.power(promoted), "share", detail=by_win_rate)
