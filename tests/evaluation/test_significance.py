"""How sure a gain is, and what is left of the promotions among many groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t

from muster.evaluation.significance import DOUBT, control, p_value
from muster.storage.tables import DECISIONS

RESAMPLED = np.random.default_rng(0).normal(0.05, 0.02, size=500)


def decisions(p_values: list[float | None], verdict: str = "promote", against: str = "champion") -> pa.Table:
    rows: list[dict[str, Any]] = [
        {"group": str(number), "verdict": "hold" if p is None else verdict, "reason": "as judged", "p_value": p}
        | {"against": against}
        for number, p in enumerate(p_values)
    ]
    return pa.Table.from_pylist([{name: row.get(name) for name in DECISIONS.names} for row in rows], schema=DECISIONS)


def test_a_gain_is_measured_in_standard_errors_by_students_t() -> None:
    expected = t.sf(0.05 / RESAMPLED.std(), df=29)
    assert p_value(0.05, RESAMPLED, units=30, algorithms=1) == pytest.approx(expected, rel=1e-9)


def test_the_spread_of_few_days_is_what_their_number_makes_of_it() -> None:
    expected = t.sf(0.05 / (RESAMPLED.std() * np.sqrt(5 / 4)), df=4)
    assert p_value(0.05, RESAMPLED, units=5, algorithms=1, days=5) == pytest.approx(expected, rel=1e-9)


def test_fewer_units_and_more_algorithms_make_it_less_sure() -> None:
    few, many = (p_value(0.05, RESAMPLED, units, 1) for units in (12, 300))
    assert many < few
    assert p_value(0.05, RESAMPLED, 12, 3) == pytest.approx(3 * few)
    assert p_value(-0.05, RESAMPLED, 12, 3) == 1.0


@pytest.mark.parametrize(("gain", "expected"), [(0.5, 0.5**10), (0.0, 1.0), (-0.5, 1.0)])
def test_resamples_that_all_agree_prove_no_more_than_the_rows_can(gain: float, expected: float) -> None:
    assert p_value(gain, np.full(500, gain), units=10, algorithms=1) == expected


def test_a_million_rows_do_not_overflow() -> None:
    assert 0 <= p_value(0.5, np.full(500, 0.5), units=10**6, algorithms=1) < 1e-300


def test_each_p_value_is_adjusted_for_all_that_were_judged() -> None:
    """By hand: m * p / rank, made monotone from the largest down; the held are no part of m."""
    columns = control(decisions([0.01, None, 0.02, 0.04, 0.3]), 0.05).to_pydict()
    assert columns["q_value"][1] is None
    assert np.delete(columns["q_value"], 1).astype(float) == pytest.approx([0.04, 0.04, 0.04 * 4 / 3, 0.3])
    assert columns["verdict"] == ["promote", "hold", "promote", "reject", "reject"]
    assert columns["reason"] == ["as judged", "as judged", "as judged", f"as judged{DOUBT}", f"as judged{DOUBT}"]


def test_chance_must_be_ruled_out_as_surely_as_the_opponent() -> None:
    """The larger of the two p-values counts."""
    rows = decisions([0.001, 0.001, 0.5])
    at = rows.schema.get_field_index("chance_p_value")
    judged = control(rows.set_column(at, "chance_p_value", pa.array([0.0001, 0.2, 0.6])), 0.05)
    assert judged["verdict"].to_pylist() == ["promote", "reject", "reject"]
    np.testing.assert_allclose(judged["q_value"].to_numpy(), [0.003, 0.3, 0.6])


def test_the_reason_is_true_of_one_group_alone_as_well() -> None:
    assert control(decisions([0.9]), 0.1)["reason"].to_pylist() == [
        "as judged, but not surely enough: it may be chance"
    ]


def test_a_rejection_stays_one_with_its_own_reason() -> None:
    columns = control(decisions([1e-9, 0.5], verdict="reject"), 0.1).to_pydict()
    assert (columns["verdict"], columns["reason"]) == (["reject"] * 2, ["as judged"] * 2)


def test_at_a_declared_rate_of_one_the_win_rate_decides_alone() -> None:
    assert control(decisions([0.2, 0.9, 1.0]), 1.0)["verdict"].to_pylist() == ["promote"] * 3


def test_nothing_judged_is_nothing_to_control() -> None:
    assert control(decisions([None, None]), 0.1)["verdict"].to_pylist() == ["hold", "hold"]
    assert control(decisions([]), 0.1).schema == DECISIONS


def test_the_order_of_the_groups_changes_nothing() -> None:
    rows = decisions(list(np.random.default_rng(1).random(50) ** 3))
    backwards = control(rows.take(list(range(49, -1, -1))), 0.1)
    assert control(rows, 0.1) == backwards.take(list(range(49, -1, -1)))
