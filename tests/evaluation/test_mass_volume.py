"""The mass volume of scores: as a plain loop over the definition has it, with ties, in samples of days or rows."""

from __future__ import annotations

import numpy as np
import pytest

from muster.evaluation.clusters import Clusters
from muster.evaluation.mass_volume import mass_volume
from muster.evaluation.volume import MOST_DRAWN, POINTS, with_points
from tests.valves import volume_by_definition

NO_LABELS = np.full(120, np.nan)


def one_sample(rows: np.ndarray, points: np.ndarray) -> float:
    clusters = Clusters.rows(len(rows))
    metric = mass_volume(np.full(len(rows), np.nan), np.concatenate([rows, points]), clusters)
    return float(metric(np.ones((1, len(rows)), dtype=np.int32))[0])


@pytest.mark.parametrize("digits", [8, 1, 0], ids=["no ties", "some ties", "hardly anything else"])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_mean_volume_of_the_definition(seed: int, digits: int) -> None:
    random = np.random.default_rng(seed)
    rows, points = random.normal(0, 1, 120).round(digits), random.normal(1, 2, 300).round(digits)
    assert one_sample(rows, points) == pytest.approx(volume_by_definition(rows, points), abs=2e-5)


def test_what_tells_nothing_apart_has_what_ranks_at_random_has() -> None:
    random = np.random.default_rng(0)
    assert one_sample(np.zeros(120), np.zeros(300)) == pytest.approx(0.95)
    at_random = [one_sample(random.random(120), random.random(300)) for _ in range(200)]
    assert np.mean(at_random) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("days", [6, 120], ids=["few days", "every row"])
def test_a_sample_is_of_the_rows_and_points_of_the_drawn_days(days: int) -> None:
    random = np.random.default_rng(1)
    scores = random.normal(size=420).round(1)
    day_of = np.arange(120) % days
    clusters = Clusters.equal(day_of)
    metric = mass_volume(NO_LABELS, scores, clusters)
    counts = np.stack([np.bincount(random.integers(days, size=days), minlength=days) for _ in range(20)])
    counts[0] = 0
    counts[1, 1:] = 0  # of one day only, the one row or the twenty of it
    counts[1, 0] = 1
    values = metric(counts.astype(np.int32))
    assert np.isnan(values[0])
    for count, value in zip(counts[1:], values[1:], strict=True):
        rows = np.repeat(scores[:120], count[day_of])
        points = np.repeat(scores[120:], count[np.arange(300) % days])
        assert value == pytest.approx(volume_by_definition(rows, points), abs=2e-5)


def test_where_the_unusual_days_are_left_out_all_rows_are_looked_at() -> None:
    scores = np.concatenate([np.arange(120.0), np.linspace(0, 120, 300)])
    clusters = Clusters.equal(np.arange(120) // 20)
    usual_days = np.array([[3, 3, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=np.int32)
    value = mass_volume(NO_LABELS, scores, clusters)(usual_days)[0]
    rows = np.repeat(scores[:40], 3)
    points = np.repeat(scores[120:], usual_days[0][np.arange(300) % 6])
    assert value == pytest.approx(volume_by_definition(rows, points), abs=2e-5)


def test_points_lie_between_the_least_and_largest_values_and_are_the_same_again() -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(50, 3)) * [1, 10, 100]
    asked = with_points(features, 7)
    assert asked.shape == (50 + POINTS, 3)
    np.testing.assert_array_equal(asked[:50], features)
    points = asked[50:]
    assert (points >= features.min(axis=0)).all()
    assert (points <= features.max(axis=0)).all()
    width = np.quantile(features, 0.995, axis=0) - np.quantile(features, 0.005, axis=0)
    np.testing.assert_allclose(points.std(axis=0), width / 12**0.5, rtol=0.05)  # evenly
    np.testing.assert_array_equal(with_points(features, 7), asked)
    assert not np.array_equal(with_points(features, 8), asked)


def test_what_a_row_does_not_know_a_point_does_not_either() -> None:
    features = np.random.default_rng(3).normal(size=(40, 2))
    features[::4, 1] = np.nan
    features[1, 0] = np.inf
    points = with_points(features)[40:]
    assert np.isnan(points[:, 1]).mean() == pytest.approx(0.25, abs=0.04)
    finite = points[np.isfinite(points[:, 0]), 0]
    assert finite.max() <= features[np.isfinite(features[:, 0]), 0].max()
    assert len(with_points(np.empty((0, 2)))) == 0
    unknown = with_points(np.full((5, 2), np.nan))
    assert np.isnan(unknown).all()


def test_of_many_features_some_are_drawn_and_the_others_are_a_rows() -> None:
    features = np.arange(40 * 12, dtype=float).reshape(40, 12) ** 1.1
    points = with_points(features)[40:]
    of_a_row = np.stack([np.isin(points[:, column], features[:, column]) for column in range(12)], axis=1)
    assert set((~of_a_row).sum(axis=1)) == {MOST_DRAWN}
    np.testing.assert_allclose((~of_a_row).mean(axis=0), MOST_DRAWN / 12, atol=0.05)


def test_an_extreme_row_leaves_the_points_where_the_others_are() -> None:
    features = np.random.default_rng(4).normal(size=(1920, 2))
    usual = with_points(features, 5)[1920:]
    features[7] = 1000.0
    extreme = with_points(features, 5)[1920:]
    np.testing.assert_allclose(extreme.std(axis=0), usual.std(axis=0), rtol=0.1)
