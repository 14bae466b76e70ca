"""Monitoring: alarms of a year in which nothing happens, what is found of what does, and what a group costs."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from benchmarks.figures import Figure
from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut
from muster.evaluation.metrics import METRICS
from muster.evaluation.significance import p_value
from muster.monitoring.degraded import WORSE_BY, Each, History, Losses, p_values, together
from muster.monitoring.drift import Drift, assessed, binned, compared
from muster.monitoring.false_alarms import alarms, q_values
from muster.monitoring.outcome import Measured, measured
from muster.monitoring.reference import expected
from muster.settings import Settings
from muster.workload.monitor import Monitor

GROUPS, WEEKS = 1_000, 52
ROWS, POSITIVES, AUC = (10, 500), (0.1, 0.4), (0.66, 0.05)
"""Rows a week (log-uniform), their share of positives, and the models' AUC, mean and spread."""
COLUMNS = 5
LEARNT = 12
"""Weeks of the training window."""
JUDGED_ON = 28
REPEATED = 4
SEED = 20130812
AUC_OF = METRICS["roc_auc"]


@dataclass(frozen=True)
class Days:
    """What the rows of a day have in common."""

    name: str
    effect: float
    """Share of the noise."""
    like_before: float = 0.0
    """Correlation of a day's effect with that of the day before."""
    common: float = 0.0
    """Share of it that all groups have in common."""


DAYS = (
    Days("independent rows", 0.0),
    Days("days that are alike", 0.1, common=0.1),
    Days("days like those before", 0.1, 0.3, 0.1),
    Days("long spells", 0.2, 0.6, 0.1),
)


class Planted(NamedTuple):
    """What is wrong in the last week."""

    groups: int = 0
    """So many of the first groups; -1: all."""
    auc: float = 0.0
    """By how much their AUC is lower."""
    shift: float = 0.0
    """By how many standard deviations one of their columns is higher."""

    def __str__(self) -> str:
        """Say in how many groups."""
        return "all" if self.groups < 0 else str(self.groups)

    def hits(self, group: int) -> bool:
        """Tell whether a group is one of them."""
        return self.groups < 0 or group < self.groups


REVERSED = 1.0
"""So much lower that the answers are reversed."""
PLANTED = (
    (DAYS[0], Planted(1, REVERSED)),
    (DAYS[0], Planted(20, REVERSED)),
    (DAYS[1], Planted(20, REVERSED)),
    (DAYS[0], Planted(-1, 0.03)),
    (DAYS[1], Planted(-1, 0.1)),
)
"""Degradations of the last week: a group's answers that are reversed, all groups' that are a little worse."""
LARGE = 150
"""Rows of a week from which a group counts as one that a week says much of."""


class Week(NamedTuple):
    """What is known of a group's week."""

    measured: Measured
    rows: int


class Group(NamedTuple):
    """A group's judged model, and its weeks; None where they are too few rows."""

    score: float
    spread: float
    promoted: bool
    clusters: int
    weeks: Sequence[Week | None]


def effects(random: np.random.Generator, days: int, like: Days, shape: tuple[int, ...]) -> np.ndarray:
    """Return each day's effect, (days, *shape), of variance 1."""
    values = random.normal(size=(days, *shape))
    for day in range(1, days):
        values[day] = like.like_before * values[day - 1] + np.sqrt(1 - like.like_before**2) * values[day]
    return values


def simulated_outcomes(number: int, like: Days, weeks: int, planted: Planted, seed: int) -> Group | None:
    """Judge one group's model on four weeks, and measure it on the weeks after; None where the gate would hold."""
    random, of_all = np.random.default_rng([seed, number]), np.random.default_rng([seed])
    per_week, share = int(np.exp(random.uniform(*np.log(ROWS)))), random.uniform(*POSITIVES)
    auc, days = float(np.clip(random.normal(*AUC), 0.52, 0.9)), JUDGED_ON + 7 * weeks
    own, common = (effects(generator, days, like, (2,)) for generator in (random, of_all))
    of_day = np.sqrt(1 - like.common) * own + np.sqrt(like.common) * common

    def rows(first: int, count: int, size: int, auc: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        day = np.sort(random.integers(count, size=size))
        labels = random.random(size) < share
        noise = np.sqrt(1 - like.effect) * random.normal(size=size)
        noise += np.sqrt(like.effect) * of_day[first + day, labels.astype(int)]
        return labels.astype(float), np.sqrt(2) * ndtri(auc) * labels + noise, day

    labels, scores, day = rows(0, JUDGED_ON, 4 * per_week, auc)
    if min(labels.sum(), len(labels) - labels.sum()) < 10:
        return None
    clusters = Clusters.equal(day)
    resampled = paired_bootstrap([AUC_OF.prepare(labels, scores, clusters)], clusters, 100, number)[0]
    score, held_out = AUC_OF.value(labels, scores), HeldOut(labels, clusters)
    sure = p_value(score - 0.5, resampled - 0.5, held_out.units(AUC_OF), 1, clusters.count)
    promoted, measured_weeks = sure < 0.05, []
    for week in range(weeks):
        worse = planted.auc if week == weeks - 1 and planted.hits(number) else 0.0
        labels, scores, day = rows(JUDGED_ON + 7 * week, 7, per_week, max(auc - worse, 1 - auc))
        enough = promoted and per_week >= 30 and min(labels.sum(), per_week - labels.sum()) >= 10
        of = measured(HeldOut(labels, Clusters.equal(day)), scores, day, 7, AUC_OF, number) if enough else None
        measured_weeks.append(Week(of, per_week) if of is not None and of.known else None)
    return Group(score, float(np.std(resampled)), promoted, clusters.count, measured_weeks)


class Raised(NamedTuple):
    """The alarms of a week: (groups,) bool, NaN where a group was not tested, and those of all together."""

    groups: np.ndarray
    together: bool


def judged_weeks(groups: Sequence[Group | None], weeks: int) -> Iterator[Raised]:
    """Judge week by week, each with the twelve before as its past."""
    known = [group for group in groups if group is not None]
    scores, spreads = expected(*(np.array([group[place] for group in known]) for place in (0, 1)), AUC_OF)
    references = {place: number for number, place in enumerate(n for n, group in enumerate(groups) if group)}
    past, earlier = np.full((3, len(groups), weeks), np.nan), list[float]()
    for week in range(weeks):
        tested = [n for n, group in enumerate(groups) if group and group.promoted and group.weeks[week]]
        of = [groups[n].weeks[week] for n in tested]
        place, values = [references[n] for n in tested], np.array([each.measured.value for each in of])
        rows = np.array([float(each.rows) for each in of])
        doubts = {
            name: np.array([getattr(each.measured, name) for each in of])
            for name in ("by_cluster", "by_row", "size", "units")
        }
        losses = Losses(
            loss=scores[place] - values,
            margin=WORSE_BY * np.abs(scores[place] - 0.5),
            reference_variance=spreads[place] ** 2,
            reference_freedom=np.array([known[number].clusters - 1.0 for number in place]),
            rows=rows,
            **doubts,
        )
        before = slice(max(0, week - 12), week)
        raised = np.full(len(groups), np.nan)
        raised[tested] = alarms(q_values(p_values(losses, History(*past[:, tested, before]))), Monitor(), 7)
        without = np.stack([each.measured.without_day for each in of])
        whole = together(losses, Each(values, scores[place], without), JUDGED_ON, earlier[-12:])
        yield Raised(raised, bool(alarms(np.array([whole.p_value]), Monitor(), 7)[0]))
        past[:, tested, week] = values, losses.by_row, rows
        earlier.append(whole.loss)


def simulated_drift(number: int, like: Days, planted: Planted, seed: int) -> Drift:
    """Compare one group's week with the weeks that its model learnt from."""
    random = np.random.default_rng([seed, number])
    per_week, days = int(np.exp(random.uniform(*np.log(ROWS)))), 7 * (LEARNT + 1)
    of_day = effects(random, days, like, (COLUMNS,))
    day = np.sort(random.integers(days, size=per_week * (LEARNT + 1)))
    rows = np.sqrt(1 - like.effect) * random.normal(size=(len(day), COLUMNS)) + np.sqrt(like.effect) * of_day[day]
    now = day >= 7 * LEARNT
    rows[now, 0] += planted.shift if planted.hits(number) else 0.0
    return compared(binned(rows[~now], day[~now] // 7, LEARNT, rows[now]))


def drifted(drifts: Sequence[Drift]) -> np.ndarray:
    """Return whose columns raise an alarm, (groups, columns)."""
    monitor = Monitor()
    result = assessed(Drift(*(np.stack(values) for values in zip(*drifts, strict=True))), monitor.min_rows, alone=False)
    return alarms(q_values(result.p_value), monitor, 7) & (result.psi > monitor.psi)


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Measure a quiet year under several kinds of days, then what is planted in its last week, then seconds."""
    groups, weeks = (120, 5) if quick else (GROUPS, WEEKS)
    warnings.simplefilter("ignore")
    figures: list[Figure] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for like in DAYS[:1] if quick else DAYS:
            sys.stderr.write(f"{like.name}\n")
            figures += _quiet_outcomes(pool, like, groups, weeks)
            figures += _quiet_drift(pool, like, groups, 2 if quick else WEEKS // 4)
        for like, planted in PLANTED[:1] if quick else PLANTED:
            figures.append(_degraded(pool, like, groups, planted, 1 if quick else REPEATED))
        for planted in (Planted(1, shift=1.0), Planted(20, shift=1.0)):
            figures.append(_drift(pool, DAYS[1], groups, planted, 1 if quick else REPEATED))
    return [*figures, _seconds(20 if quick else 300)]


def _quiet_outcomes(pool: ProcessPoolExecutor, like: Days, groups: int, weeks: int) -> list[Figure]:
    work = partial(simulated_outcomes, like=like, weeks=weeks, planted=Planted(), seed=SEED)
    judged = list(judged_weeks(list(pool.map(work, range(groups), chunksize=20)), weeks))
    by_group = [np.nansum(week.groups) for week in judged]
    tested = int(np.median([np.isfinite(week.groups).sum() for week in judged]))
    any_alarm = sum(bool(count) or week.together for count, week in zip(by_group, judged, strict=True))
    detail = f"{tested:,} of {groups:,} groups tested a week; {sum(by_group):.0f} alarms of groups, "
    detail += f"{sum(week.together for week in judged)} of all together, in {weeks} weeks"
    name = f"quiet weeks a year with a degraded champion, {like.name}"
    return [Figure(name, any_alarm * 52 / weeks, "weeks", at_most=1.0, detail=detail)]


def _quiet_drift(pool: ProcessPoolExecutor, like: Days, groups: int, weeks: int) -> list[Figure]:
    raised = []
    for week in range(weeks):
        work = partial(simulated_drift, like=like, planted=Planted(), seed=SEED + week)
        raised.append(int(drifted(list(pool.map(work, range(groups), chunksize=20))).sum()))
    detail = f"{sum(raised)} alarms of {groups:,} groups x {COLUMNS} columns x {weeks} weeks"
    weeks_with = sum(count > 0 for count in raised) * 52 / weeks
    return [Figure(f"quiet weeks a year with a drift, {like.name}", weeks_with, "weeks", at_most=1.0, detail=detail)]


def _degraded(pool: ProcessPoolExecutor, like: Days, groups: int, planted: Planted, times: int) -> Figure:
    """Plant a degradation in the fifth week, some times; groups that are too small to test count not."""
    found, large = [], []
    groups = groups if planted.groups != 1 else groups // 4  # of one a time more times tell
    for time_ in range(times if planted.groups != 1 else 10 * times):
        of_seed = SEED + 100 + time_
        work = partial(simulated_outcomes, like=like, weeks=5, planted=planted, seed=of_seed)
        simulated = list(pool.map(work, range(groups), chunksize=20))
        judged = list(judged_weeks(simulated, 5))[-1]
        if planted.groups < 0:
            found.append(float(judged.together))
            continue
        for number in np.flatnonzero(np.isfinite(judged.groups[: planted.groups])):
            found.append(judged.groups[number])
            large += [judged.groups[number]] if simulated[number].weeks[-1].rows >= LARGE else []
    what = "answers reversed" if planted.auc == REVERSED else f"AUC lower by {planted.auc}"
    detail = f"{what}, {len(found)} planted and tested"
    detail += f"; of the {len(large)} with {LARGE} rows or more {np.mean(large):.2f}" if large else ""
    share = float(np.mean(found)) if found else 0.0
    return Figure(f"degraded within one partition: {planted} of {groups:,}, {like.name}", share, "share", detail=detail)


def _drift(pool: ProcessPoolExecutor, like: Days, groups: int, planted: Planted, times: int) -> Figure:
    found: list[bool] = []
    for time_ in range(times):
        work = partial(simulated_drift, like=like, planted=planted, seed=SEED + 100 + time_)
        drifts = list(pool.map(work, range(groups), chunksize=20))
        able = [n for n in range(planted.groups) if drifts[n].now[0] >= Monitor().min_rows]
        found += drifted(drifts)[able, 0].tolist()
    detail = f"by {planted.shift} standard deviation, {like.name}, {len(found)} planted and tested"
    share = float(np.mean(found)) if found else 0.0
    return Figure(f"drifted within one partition: {planted} of {groups:,}", share, "share", detail=detail)


def _seconds(groups: int) -> Figure:
    """Measure what counting a group's columns costs: 1,000 rows learnt from, 80 of now, 20 columns."""
    random = np.random.default_rng(SEED)
    learnt, now = random.normal(size=(1_000, 20)), random.normal(size=(80, 20))
    began = time.perf_counter()
    for _ in range(groups):
        compared(binned(learnt, np.arange(1_000) % LEARNT, LEARNT, now))
    each = (time.perf_counter() - began) / groups
    return Figure("drift of a group of 20 columns", 1_000 * each, "ms", detail="1,000 rows learnt from, 80 of now")
