"""Whose alarms are raised, and how often chance raises any."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from muster.monitoring.announced import announced
from muster.monitoring.degraded import Each, History, Losses, p_values, together
from muster.monitoring.false_alarms import alarms, per_family, q_values
from muster.workload.monitor import Monitor

WEEKLY = Monitor()


def losses(loss: np.ndarray, **more: np.ndarray) -> Losses:
    """Return losses of standard error 0.02, a third of it the reference's."""
    same = {"margin": 0.0, "by_cluster": 3e-4, "by_row": 3e-4, "size": 20.0, "units": 7.0}
    same |= {"reference_variance": 1e-4, "reference_freedom": 27.0, "rows": 140.0}
    full = {name: np.full(len(loss), value) for name, value in same.items()}
    return Losses(loss=loss, **{**full, **more})


def test_q_values_are_those_of_the_tests_there_are() -> None:
    p = np.array([[0.01, np.nan], [0.04, 0.5]])
    np.testing.assert_allclose(q_values(p)[~np.isnan(p)], false_discovery_control([0.01, 0.04, 0.5]))


def test_a_quiet_partition_raises_an_alarm_no_more_often_than_its_share_of_a_year() -> None:
    random = np.random.default_rng(0)
    limit = per_family(WEEKLY, 7)
    raised = [alarms(q_values(random.random(500)), WEEKLY, 7).any() for _ in range(4_000)]
    assert limit == pytest.approx(7 / 365 / 4)
    assert np.mean(raised) <= 1.5 * limit


def test_where_something_happened_the_alarms_are_those_of_benjamini_and_hochberg() -> None:
    p = np.array([1e-6, 0.002, 0.005, 0.5, 0.9])
    assert alarms(q_values(p), WEEKLY, 7).tolist() == [True, True, True, False, False]
    assert not alarms(q_values(p[1:]), WEEKLY, 7).any()


def test_p_values_of_quiet_groups_are_even_and_a_degraded_one_is_plain() -> None:
    random = np.random.default_rng(1)
    loss = 0.02 * random.normal(size=2_000)
    loss[0] = 0.15
    history = History(random.normal(0, 0.0173, (2_000, 6)), np.full((2_000, 6), 3e-4), np.full((2_000, 6), 140.0))
    p = p_values(losses(loss), history)
    assert p[0] < 1e-9
    assert (p[1:] < 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_slices_that_vary_by_more_than_their_days_say_make_a_loss_less_sure() -> None:
    random = np.random.default_rng(2)
    loss = np.append(np.full(1, 0.1), np.zeros(99))
    quiet, restless = (
        History(random.normal(0, spread, (100, 8)), np.full((100, 8), 3e-4), np.full((100, 8), 140.0))
        for spread in (0.017, 0.06)
    )
    assert p_values(losses(loss), restless)[0] > 100 * p_values(losses(loss), quiet)[0]


def test_many_degraded_groups_do_not_hide_each_other() -> None:
    loss = 0.02 * np.random.default_rng(3).normal(size=300)
    loss[:120] += 0.2
    p = p_values(losses(loss), History.none(300))
    assert (p[:120] < 0.01).all()


def test_a_loss_within_the_margin_is_none() -> None:
    loss = np.full(5, 0.05)
    p = p_values(losses(loss, margin=np.full(5, 0.1)), History.none(5))
    assert (p > 0.9).all()


def test_all_together_are_surer_than_any_group_and_days_in_common_count_once() -> None:
    random = np.random.default_rng(4)
    without = 0.7 + 0.003 * random.normal(size=(400, 7))
    each = Each(np.full(400, 0.7), np.full(400, 0.72), without)
    p_own = together(losses(np.full(400, 0.02)), each, 28, []).p_value
    common = Each(each.values, each.references, 0.7 + 0.02 * np.tile(random.normal(size=7), (400, 1)))
    assert p_own < 1e-3
    assert together(losses(np.full(400, 0.02)), common, 28, []).p_value > 0.05


def test_what_is_told_names_the_surest_first_and_has_one_digest_for_the_same_groups() -> None:
    rows = [
        {"partition": "2024-01-01", "group": name, "alarm": alarm, "why": name, "q_value": q, "drift_q_value": 0.01}
        for name, alarm, q in [("a", "degraded", 0.05), ("b", "both", 0.01), ("*", "drifted", 0.5), ("c", None, 0.9)]
    ]
    told = announced(rows)
    assert told["degraded"]["2024-01-01"]["groups"] == ["b", "a"]
    assert (told["drifted"]["2024-01-01"]["count"], told["drifted"]["2024-01-01"]["all_together"]) == (1, True)
    assert announced(reversed(rows)) == told
    assert announced(rows[:1])["degraded"]["2024-01-01"]["digest"] != told["degraded"]["2024-01-01"]["digest"]
