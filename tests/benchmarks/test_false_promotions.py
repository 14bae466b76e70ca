"""The gate's promise over thousands of groups: no more false promotions than declared, and true gains still found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.false_promotions import Case, Simulated, simulate
from muster.workload.spec import Gate

GATE = Gate(resamples=100)
GROUPS = 1_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def none_better() -> Simulated:
    return simulate(GROUPS, Case(), GATE)


def test_of_groups_no_better_than_their_champion_no_more_are_promoted_than_declared(none_better: Simulated) -> None:
    """Where all are equal every promotion is false, so the declared rate is the chance that there is any at all."""
    assert none_better.judged.sum() > 0.7 * GROUPS
    assert none_better.controlled.sum() <= 1


def test_the_win_rate_alone_promotes_a_tenth_of_them(none_better: Simulated) -> None:
    assert 0.08 < none_better.plain.sum() / none_better.judged.sum() < 0.13


@pytest.mark.parametrize(
    "case",
    [
        Case(gain=0.05, algorithms=1),
        Case(gain=0.05, algorithms=3),
        Case("strong", gain=0.1),
        Case("strong", gain=0.3, metric="rmse"),
        Case("strong", gain=0.1, worse=0.02),
        Case("strong", gain=0.6, metric="log_loss", classes=3),
    ],
    ids=str,
)
def test_the_share_of_false_promotions_among_all_is_the_declared_one(case: Case) -> None:
    simulated = simulate(1_000, case, GATE)
    wrong, promoted = (simulated.controlled & ~simulated.better).sum(), simulated.controlled.sum()
    assert wrong <= binom.ppf(0.999, promoted, GATE.false_promotions)
    assert simulated.false_share(simulated.plain) > 2 * GATE.false_promotions
    assert simulated.power(simulated.controlled) > 0.03


def test_rows_that_a_day_has_in_common_prove_nothing_by_themselves() -> None:
    """The same groups, none better, drawn by row: promotions that are all false."""
    by_row = simulate(500, Case("strong"), GATE.model_copy(update={"resample": "row"}))
    by_day = simulate(500, Case("strong"), GATE)
    assert by_row.controlled.sum() > 10 > 2 >= by_day.controlled.sum()
    assert np.array_equal(by_row.better, by_day.better)
