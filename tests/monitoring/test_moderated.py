"""Variances of few degrees of freedom, drawn towards those of all groups."""

from __future__ import annotations

import numpy as np
import pytest

from muster.monitoring.moderated import design_effects, freedom_of_sum, moderate


def test_what_groups_have_in_common_is_found_again() -> None:
    random = np.random.default_rng(0)
    true = 2.0 * 20 / random.chisquare(20, 20_000)
    seen = true * random.chisquare(6, 20_000) / 6
    moderated = moderate(seen, np.full(20_000, 6.0))
    assert moderated.freedom[0] == pytest.approx(26, rel=0.1)
    assert np.mean((moderated.variances - true) ** 2) < 0.5 * np.mean((seen - true) ** 2)


def test_groups_of_one_variance_lend_each_other_everything() -> None:
    moderated = moderate(np.linspace(0.99, 1.01, 50), np.full(50, 6.0))
    assert np.isinf(moderated.freedom).all()
    assert np.ptp(moderated.variances) == 0


def test_few_groups_stand_for_themselves() -> None:
    seen = np.array([1.0, 3.0])
    moderated = moderate(seen, np.array([6.0, 6.0]))
    np.testing.assert_array_equal(moderated.variances, seen)
    np.testing.assert_array_equal(moderated.freedom, [6, 6])


def test_the_design_effect_grows_with_the_rows_of_a_day() -> None:
    random, sizes = np.random.default_rng(2), np.repeat([2.0, 50.0], 2_000)
    ratios = (1 + (sizes - 1) * 0.1) * random.chisquare(6, 4_000) / 6
    effects = design_effects(ratios, np.ones(4_000), sizes, np.full(4_000, 6.0)).variances
    assert effects[:2_000].mean() == pytest.approx(1.1, rel=0.05)
    assert effects[2_000:].mean() == pytest.approx(5.9, rel=0.05)


def test_the_freedom_of_a_sum_is_between_its_parts_and_their_sum() -> None:
    one = np.array([1.0, 1.0, 1.0])
    freedom = freedom_of_sum(
        (one, np.array([6.0, 6.0, 6.0])), (np.array([1.0, 0.0, 1e9]), np.array([27.0, 27.0, 27.0]))
    )
    np.testing.assert_allclose(freedom, [4 / (1 / 6 + 1 / 27), 6, 27], rtol=1e-6)
