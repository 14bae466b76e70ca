"""PSI and Kolmogorov-Smirnov from counts, beside scipy and by hand, and where rows of a day are alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from muster.monitoring.drift import BINS, Binned, Drift, assessed, binned, compared

WEEKS = 12


def columns(drift: Drift) -> Drift:
    """Return the columns of one group as those of groups."""
    return Drift(*(values[np.newaxis] for values in drift))


def of(reference: np.ndarray, now: np.ndarray, weeks: np.ndarray | None = None) -> Drift:
    weeks = np.arange(len(reference)) % WEEKS if weeks is None else weeks
    return compared(binned(reference[:, np.newaxis], weeks, WEEKS, now[:, np.newaxis]))


def test_bins_end_at_the_references_quantiles() -> None:
    counts = binned(
        np.arange(1.0, 101)[:, np.newaxis], np.zeros(100, int), 1, np.array([[0.0], [10.0], [10.5], [999.0]])
    )
    assert counts.reference[0, 0].tolist() == [10] * BINS + [0]
    assert counts.now[0].tolist() == [2, 1, *[0] * 7, 1, 0]


def test_missing_values_have_a_bin_of_their_own() -> None:
    reference = np.append(np.arange(100.0), [np.nan] * 5)[:, np.newaxis]
    counts = binned(reference, np.zeros(105, int), 1, np.array([[np.nan], [3.0]]))
    assert (counts.reference[0, 0, -1], counts.now[0, -1], counts.reference[0, 0, 0]) == (5, 1, 10)


def test_a_column_without_any_value_drifts_not() -> None:
    drift = of(np.full(300, np.nan), np.full(60, np.nan))
    assert (drift.distance[0], drift.psi[0], drift.bins[0]) == (0, 0, 1)


def test_psi_is_the_sum_over_bins() -> None:
    random = np.random.default_rng(0)
    reference, now = random.normal(size=6_000), random.normal(0.5, 1, 3_000)
    edges = np.quantile(reference, np.arange(1, BINS) / BINS)
    then, today = (np.bincount(np.searchsorted(edges, x), minlength=BINS) / len(x) for x in (reference, now))
    by_hand = np.sum((today - then) * np.log(today / then))
    assert of(reference, now).psi[0] == pytest.approx(by_hand, rel=0.01)


def test_the_distance_is_nearly_scipys_and_never_larger() -> None:
    random = np.random.default_rng(1)
    reference, now = random.normal(size=2_000), random.normal(0.3, 1, 500)
    exact = ks_2samp(reference, now).statistic
    assert 0.85 * exact <= of(reference, now).distance[0] <= exact


def test_without_a_change_the_index_is_as_large_as_expected() -> None:
    random = np.random.default_rng(2)
    drifts = [of(random.normal(size=1_200), random.normal(size=100)) for _ in range(300)]
    raw = np.array([drift.psi[0] for drift in drifts])
    assert raw.mean() == pytest.approx((BINS - 1) * (1 / 1_200 + 1 / 100), rel=0.1)
    corrected = assessed(Drift(*(np.array(v) for v in zip(*drifts, strict=True))), 30, alone=False).psi
    assert np.median(corrected) < 0.01


@pytest.mark.parametrize("alike", [0.0, 0.4])
def test_quiet_columns_are_no_surer_than_chance_however_alike_rows_of_a_day_are(alike: float) -> None:
    random, drifts = np.random.default_rng(3), []
    for _ in range(400):
        day = np.repeat(np.arange(7 * (WEEKS + 1)), 10)
        common = random.normal(size=7 * (WEEKS + 1))
        values = np.sqrt(alike) * common[day] + np.sqrt(1 - alike) * random.normal(size=len(day))
        now = day >= 7 * WEEKS
        drifts.append(of(values[~now], values[now], day[~now] // 7))
    p_values = assessed(Drift(*(np.array(v) for v in zip(*drifts, strict=True))), 30, alone=False).p_value
    assert (p_values < 0.05).mean() <= 0.06
    assert (p_values < 0.002).mean() <= 0.01


def test_a_change_is_found_and_its_size_told() -> None:
    random = np.random.default_rng(4)
    result = assessed(columns(of(random.normal(size=1_200), random.normal(1.5, 1, 100))), 30, alone=True)
    assert result.p_value[0, 0] < 1e-4
    assert result.psi[0, 0] > 1


@pytest.mark.parametrize(("rows", "weeks"), [(20, WEEKS), (600, 2)])
def test_few_rows_or_few_weeks_are_not_tested(rows: int, weeks: int) -> None:
    random = np.random.default_rng(5)
    drift = of(random.normal(size=rows), random.normal(9, 1, 100), np.arange(rows) % weeks)
    assert np.isnan(assessed(columns(drift), 30, alone=True).p_value).all()


def test_counts_of_groups_add_up() -> None:
    random = np.random.default_rng(6)
    one, other = (binned(random.normal(size=(50, 2)), np.arange(50) % 5, 5, random.normal(size=(9, 2))) for _ in "ab")
    both: Binned = one.plus(other)
    assert (both.reference.sum(), both.now.sum()) == (200, 36)
