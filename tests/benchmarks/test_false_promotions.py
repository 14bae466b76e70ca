"""The gate's promise over 10,000 groups: no more false promotions than declared, and true gains still found."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from benchmarks.false_promotions import Simulated, simulate
from muster.workload.spec import Gate

GATE = Gate(resamples=100)
GROUPS = 10_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def none_better() -> Simulated:
    return simulate(GROUPS, algorithms=1, gain=0.0, gate=GATE)


def test_of_groups_no_better_than_their_champion_no_more_are_promoted_than_declared(none_better: Simulated) -> None:
    """Where all are equal every promotion is false, so the declared rate is the chance that there is any at all."""
    assert none_better.judged.sum() > 0.7 * GROUPS
    assert none_better.controlled.sum() <= 2


def test_the_win_rate_alone_promotes_a_tenth_of_them(none_better: Simulated) -> None:
    assert 0.08 < none_better.plain.sum() / none_better.judged.sum() < 0.13


@pytest.mark.parametrize("algorithms", [1, 3])
def test_the_share_of_false_promotions_among_all_is_the_declared_one(algorithms: int) -> None:
    simulated = simulate(2_500, algorithms, gain=0.05, gate=GATE)
    wrong, promoted = (simulated.controlled & ~simulated.better).sum(), simulated.controlled.sum()
    assert wrong <= binom.ppf(0.999, promoted, GATE.false_promotions)
    assert simulated.false_share(simulated.plain) > 2 * GATE.false_promotions
    assert simulated.power(simulated.controlled) > 0.15
