"""Days drawn as one: the same as a plain loop over scikit-learn that draws days, whatever the metric."""

from __future__ import annotations

import numpy as np
import pytest

from muster.evaluation.bootstrap import paired_bootstrap
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Rival
from muster.evaluation.metrics import METRICS
from muster.evaluation.verdict import judge
from muster.workload.spec import Gate
from tests.evaluation.conftest import SKLEARN


def loop(metric: str, labels: np.ndarray, scores: np.ndarray, days: np.ndarray, resamples: int) -> list[float]:
    """Draw as many days as there are, all rows of each; NaN where a metric about classes that ranks finds only one."""
    generator, distinct = np.random.Generator(np.random.Philox(key=11)), np.unique(days)
    values = []
    for _ in range(resamples):
        drawn = generator.integers(len(distinct), size=len(distinct))
        rows = np.concatenate([np.flatnonzero(days == distinct[day]) for day in drawn])
        defined = len(np.unique(labels[rows])) == 2 or metric not in ("roc_auc", "average_precision")
        values.append(SKLEARN[metric](labels[rows], scores[rows]) if defined else np.nan)
    return values


@pytest.mark.parametrize("digits", [9, 1, 0])
@pytest.mark.parametrize(("rows", "days"), [(400, 7), (400, 150), (60, 50), (12, 5)])
@pytest.mark.parametrize("metric", SKLEARN)
def test_equals_a_loop_over_sklearn_on_the_same_days(metric: str, rows: int, days: int, digits: int) -> None:
    random = np.random.default_rng(rows + days)
    labels = (random.random(rows) < 0.2).astype(float)
    scores = np.round(np.clip(random.random(rows) * 0.8 + 0.2 * labels, 0, 1), digits)
    of_day = random.integers(days, size=rows) * 3  # in no order, with gaps
    clusters = Clusters.equal(of_day)
    actual = paired_bootstrap([METRICS[metric].prepare(labels, scores, clusters)], clusters, 15, seed=11)[0]
    np.testing.assert_allclose(actual, loop(metric, labels, scores, of_day, 15), rtol=0, atol=1e-12)


def test_both_ways_of_reckoning_are_taken() -> None:
    assert Clusters.equal(np.arange(400) % 7).few
    assert not Clusters.equal(np.arange(400) % 150).few
    assert not Clusters.equal(np.repeat(np.arange(10_000), 10)).few


@pytest.mark.parametrize("metric", METRICS)
def test_days_of_one_row_are_judged_as_rows(metric: str) -> None:
    random = np.random.default_rng(1)
    labels = (random.random(80) < 0.4).astype(float)
    scores = random.random((2, 80))

    def judged(clusters: Clusters) -> Judgement:
        gate = Gate(metric=metric, resamples=100, min_positives=1, resample="row")  # type: ignore[arg-type]
        return judge(HeldOut(labels, clusters), {"a": scores[0]}, Rival("champion", scores[1], 0.4), gate, 3)

    assert judged(Clusters.rows(80)) == judged(Clusters.equal(np.arange(80)[::-1]))


def strong_days(seed: int, rows: int = 960, days: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return days, labels, and two equally good scores whose errors a day has in common."""
    random = np.random.default_rng(seed)
    of_day = np.repeat(np.arange(days), rows // days)
    labels = (random.random(rows) < 0.3).astype(float)
    noise = random.normal(size=(2, rows)) + 2 * labels * random.normal(size=(2, days))[:, of_day]
    return of_day, labels, 0.5 * labels + noise


def test_where_days_differ_a_gain_is_less_sure_than_its_rows_say() -> None:
    """Two equally good models whose errors are a day's: by rows chance looks like proof, by days it does not."""
    false = {"row": 0, "day": 0}
    for seed in range(60):
        of_day, labels, (first, second) = strong_days(seed)
        for resample, clusters in (("row", Clusters.rows(len(labels))), ("day", Clusters.equal(of_day))):
            gate = Gate(resamples=200, min_positives=1, resample=resample)  # type: ignore[arg-type]
            judgement = judge(HeldOut(labels, clusters), {"a": first}, Rival("champion", second, 0.3), gate, seed)
            false[resample] += (judgement.p_value or 1.0) < 0.05
    assert false["row"] >= 12
    assert false["day"] <= 7


def test_what_is_counted_as_units_are_days() -> None:
    """Positives on 3 of 10 days: the p-value is no less than 1 / 2 ** 3, however many rows agree."""
    of_day = np.repeat(np.arange(10), 100)
    labels = ((of_day < 3) & (np.arange(1000) % 2 == 0)).astype(float)
    rows = HeldOut(labels, Clusters.equal(of_day))
    assert (rows.units(METRICS["roc_auc"]), rows.units(METRICS["rmse"])) == (3, 10)
    judgement = judge(rows, {"a": labels}, Rival("champion", 1 - labels, 0.1), Gate(resamples=200), 1)
    assert judgement.p_value == pytest.approx(0.5**3)
    assert judgement.clusters == 10


def test_days_of_very_different_sizes_are_fewer_in_effect() -> None:
    """By hand: one day of 90 rows and ten of one are (100 ** 2) / (90 ** 2 + 10) days of one size."""
    of_day = np.concatenate([np.zeros(90), np.arange(1, 11)])
    rows = HeldOut(np.zeros(100), Clusters.equal(of_day))
    assert rows.units(METRICS["rmse"]) == pytest.approx(10_000 / 8_110)
    assert HeldOut(np.zeros(100), Clusters.rows(100)).units(METRICS["rmse"]) == 100


def test_too_few_days_are_held_where_days_are_drawn() -> None:
    of_day = np.repeat(np.arange(4), 50)
    labels = (np.arange(200) % 2).astype(float)
    rows = HeldOut(labels, Clusters.equal(of_day))
    rival = Rival("baseline", np.zeros(200), 0.5)
    assert judge(rows, {"a": labels}, rival, Gate(), 1).reason == "too few days to judge on"
    assert judge(rows, {"a": labels}, rival, Gate(min_days=4), 1).verdict == "promote"
    by_row = HeldOut(labels, Clusters.rows(200))
    assert judge(by_row, {"a": labels}, rival, Gate(resample="row"), 1).verdict == "promote"


def test_of_a_volume_the_units_are_the_days_of_its_most_unusual_rows() -> None:
    volume, days = METRICS["mass_volume"], Clusters.equal(np.repeat(np.arange(10), 10))
    rows = HeldOut(np.full(100, np.nan), days, of_classes=False)
    on_all_days = np.tile(np.arange(10.0), 10)
    on_one_day = np.arange(100.0)
    beyond = np.zeros(500)  # the points' scores are none of the rows'
    assert rows.units(volume, np.append(on_all_days, beyond)) == 10
    assert rows.units(volume, np.append(on_one_day, beyond)) == pytest.approx(1, abs=0.3)
    both = rows.units(volume, np.append(on_all_days, beyond), np.append(on_one_day, beyond))
    assert both == rows.units(volume, np.append(on_one_day, beyond))
